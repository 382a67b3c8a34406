using System.Data.Common;
using System.Globalization;
using System.Text;
using Gongzhi.Core.Storage;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Metadata;
using Microsoft.EntityFrameworkCore.Metadata.Builders;

namespace Gongzhi.Core.Audit;

/// <summary>Who changes audited state, why, and when. Set on <see cref="Storage.NodeDb.Audit"/> before saving. The author is a party's id, or <c>node</c>.</summary>
public sealed record AuditContext(string Author, DateTimeOffset Time, string? Reason = null);

/// <summary>An audited change that would leave no trace; a defect of the program, never a caller's fault.</summary>
public sealed class AuditBypassException(string message) : InvalidOperationException(message);

/// <summary>Marks in the model: which state is audited, which of its values must never be written anywhere else.</summary>
public static class AuditModel
{
    private const string AuditedMark = "Gongzhi:Audited", SecretMark = "Gongzhi:Secret", UnauditedMark = "Gongzhi:Unaudited";

    /// <summary>Stores of libraries that keep their own tables with bulk statements (pruning tokens); they hold no governed state.</summary>
    private static readonly string[] LibraryStores = ["OpenIddict.", "Microsoft.AspNetCore.Identity."];

    /// <summary>Every change of this entity is saved with its ledger entry or not at all. Keys must be set by the program.</summary>
    public static EntityTypeBuilder<T> IsAudited<T>(this EntityTypeBuilder<T> entity) where T : class
    {
        entity.Metadata.SetAnnotation(AuditedMark, true);
        return entity;
    }

    /// <summary>Says on purpose, with the reason, that this entity leaves no audit entries.</summary>
    public static EntityTypeBuilder<T> IsNotAudited<T>(this EntityTypeBuilder<T> entity, string reason) where T : class
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(reason);
        entity.Metadata.SetAnnotation(UnauditedMark, reason);
        return entity;
    }

    /// <summary>The value never appears in an audit entry, only the fact that it changed.</summary>
    public static PropertyBuilder<T> IsSecret<T>(this PropertyBuilder<T> property)
    {
        property.Metadata.SetAnnotation(SecretMark, true);
        return property;
    }

    public static bool Audited(IReadOnlyEntityType entity) => entity.FindAnnotation(AuditedMark) is not null;

    public static bool Secret(IReadOnlyProperty property) => property.FindAnnotation(SecretMark) is not null;

    /// <summary>Entities about which nobody decided: neither audited, nor said to be unaudited, nor a library's store. A test keeps this empty.</summary>
    public static IReadOnlyList<string> Undecided(IReadOnlyModel model) =>
    [
        .. model.GetEntityTypes()
            .Where(e => !Audited(e) && e.FindAnnotation(UnauditedMark) is null)
            .Select(e => e.ClrType.FullName ?? e.Name)
            .Where(name => !LibraryStores.Any(prefix => name.StartsWith(prefix, StringComparison.Ordinal)))
            .Order(StringComparer.Ordinal),
    ];

    /// <summary>The audited entities in order of name, after checking that nothing in the model could change them unseen.</summary>
    /// <exception cref="AuditBypassException">A cascade, a complex property or shared table would change audited state without an entry.</exception>
    internal static IReadOnlyList<IEntityType> Check(IModel model)
    {
        var audited = model.GetEntityTypes().Where(Audited).OrderBy(e => e.Name, StringComparer.Ordinal).ToList();
        foreach (var entity in audited)
        {
            if (entity.FindPrimaryKey() is null || entity.GetTableName() is null || entity.GetComplexProperties().Any() || entity.BaseType is not null)
                throw new AuditBypassException($"{entity.Name} cannot be audited: it needs a table and a key of its own and plain properties only.");
            if (model.GetEntityTypes().Any(e => e != entity && string.Equals(e.GetTableName(), entity.GetTableName(), StringComparison.OrdinalIgnoreCase)))
                throw new AuditBypassException($"{entity.Name} shares its table and cannot be audited.");
            if (entity.GetForeignKeys().Any(k => k.DeleteBehavior is DeleteBehavior.Cascade or DeleteBehavior.SetNull))
                throw new AuditBypassException($"{entity.Name} would be changed by a database cascade; use Restrict.");
        }
        return audited;
    }

    /// <summary>The value as entries hold it, whichever database holds the state: null, long, double, string or byte[].</summary>
    internal static object? Stored(IProperty property, object? value)
    {
        var converted = value is null ? null : property.GetTypeMapping().Converter is { } converter ? converter.ConvertToProvider(value) : value;
        return converted switch
        {
            null or string or long or double or byte[] => converted,
            bool b => b ? 1L : 0L,
            int or short or byte or sbyte or ushort or uint => Convert.ToInt64(converted, CultureInfo.InvariantCulture),
            Enum e => Convert.ToInt64(e, CultureInfo.InvariantCulture),
            float f => (double)f,
            Guid g => g.ToString().ToUpperInvariant(),
            DateOnly d => d.ToString("yyyy-MM-dd", CultureInfo.InvariantCulture),
            _ => throw new AuditBypassException($"{property.DeclaringType.Name}.{property.Name} has a type that audit entries cannot hold ({converted.GetType().Name})."),
        };
    }
}

/// <summary>The tables of the audit, and triggers that close audited tables to every statement but those of an audited save.</summary>
public static class AuditSchema
{
    private const string Closed = "audited state changes only through tracked entities";

    private static readonly string[] Verbs = ["INSERT", "UPDATE", "DELETE"];

    /// <summary>Everything the audited part of this model needs; idempotent.</summary>
    public static string For(IModel model, SqlStore store)
    {
        var sql = new StringBuilder($"""
            CREATE TABLE IF NOT EXISTS audit_change(
                seq {store.Sequence},
                id {store.Bytes} NOT NULL UNIQUE CHECK(length(id) = 16),
                content {store.Bytes} NOT NULL,
                salt {store.Bytes} NOT NULL CHECK(length(salt) = 16));
            {PendingEntries.Table(store)}

            """);
        foreach (var guard in Guards(model, store))
            sql.AppendLine(guard.Sql);
        return sql.ToString();
    }

    /// <summary>Names of triggers that <see cref="For"/> makes and that are not there.</summary>
    internal static IReadOnlyList<string> MissingGuards(DbConnection connection, DbTransaction transaction, IModel model)
    {
        var store = SqlStore.Of(connection);
        var there = store.Triggers(connection, transaction);
        return [.. Guards(model, store).Select(g => g.Name).Where(name => !there.Contains(name, StringComparer.OrdinalIgnoreCase))];
    }

    private static IEnumerable<Guard> Guards(IModel model, SqlStore store) =>
    [
        .. store.Keep("audit_change", "an audit entry"),
        .. PendingEntries.Guards(store),
        .. AuditModel.Check(model).SelectMany(e => store.Close(e.GetTableName()!, Verbs, Closed)),
    ];

    internal static string Quote(string name) => '"' + name.Replace("\"", "\"\"", StringComparison.Ordinal) + '"';
}

/// <summary>A trigger that guards a table, and the statement that makes it where it is not there.</summary>
internal sealed record Guard(string Name, string Sql);
