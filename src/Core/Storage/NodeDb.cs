using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Infrastructure;
using Microsoft.EntityFrameworkCore.Metadata;
using Microsoft.EntityFrameworkCore.Storage.ValueConversion;

namespace Gongzhi.Core.Storage;

/// <summary>A module's share of the state model. Registered as a singleton; each module maps its own entities and no one else's.</summary>
public interface IModelPart
{
    void Build(ModelBuilder model);
}

/// <summary>
/// The node's state in SQL: everything that changes (catalog, parties, grants, postures, identity). Records in bulk are not
/// here, see <c>Records</c>. Save through <see cref="NodeWriter"/> only: there is one writer, and audited state must be saved with its ledger entry.
/// </summary>
public sealed class NodeDb(DbContextOptions<NodeDb> options, IEnumerable<IModelPart> parts) : DbContext(options)
{
    private readonly IModelPart[] _parts = [.. parts.OrderBy(p => p.GetType().FullName, StringComparer.Ordinal)];

    /// <summary>Who changes audited state through this instance, why and when; without it such a change is refused. Never ambient: the writer's thread is not the caller's.</summary>
    public Audit.AuditContext? Audit { get; set; }

    internal string PartsKey => string.Join('|', _parts.Select(p => p.GetType().FullName));

    protected override void OnModelCreating(ModelBuilder modelBuilder)
    {
        foreach (var part in _parts)
            part.Build(modelBuilder);
        if (Database.IsNpgsql())
            Lower(modelBuilder.Model);
    }

    /// <summary>PostgreSQL folds names that are not quoted to lower case; so plain statements there find what EF Core quotes.</summary>
    private static void Lower(IMutableModel model)
    {
        foreach (var entity in model.GetEntityTypes())
        {
            entity.SetTableName(entity.GetTableName()?.ToLowerInvariant());
            if (entity.GetContainerColumnName() is { } container)
                entity.SetContainerColumnName(container.ToLowerInvariant());
            else
                foreach (var property in entity.GetProperties())
                    property.SetColumnName(property.GetColumnName().ToLowerInvariant());
        }
    }

    protected override void ConfigureConventions(ModelConfigurationBuilder configurationBuilder)
    {
        // Times are microseconds UTC everywhere, so that order in SQL is order in time on every store.
        configurationBuilder.Properties<DateTimeOffset>().HaveConversion<MicrosecondsConverter>();
        // Text in the order of its bytes, as SQLite has it.
        if (Database.IsNpgsql())
            configurationBuilder.Properties<string>().UseCollation("C");
    }

    internal sealed class MicrosecondsConverter() : ValueConverter<DateTimeOffset, long>(
        t => Microseconds.From(t), m => Microseconds.ToTime(m));
}

/// <summary>The model depends on which parts are registered; two hosts in one process (tests) must not share a cached model.</summary>
internal sealed class PartsModelCacheKeyFactory : IModelCacheKeyFactory
{
    public object Create(DbContext context, bool designTime) => (context.GetType(), (context as NodeDb)?.PartsKey, designTime);
}

/// <summary>The one representation of a moment: microseconds since 1970-01-01T00:00:00Z.</summary>
public static class Microseconds
{
    public static long From(DateTimeOffset time) => (time.UtcTicks - DateTimeOffset.UnixEpoch.Ticks) / TimeSpan.TicksPerMicrosecond;

    public static DateTimeOffset ToTime(long microseconds) =>
        DateTimeOffset.UnixEpoch.AddTicks(microseconds * TimeSpan.TicksPerMicrosecond);
}
