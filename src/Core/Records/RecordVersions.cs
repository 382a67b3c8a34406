using System.Data.Common;
using Gongzhi.Core.Storage;

namespace Gongzhi.Core.Records;

/// <summary>What has become of a record.</summary>
public enum RecordState { Current, Superseded, Erased }

/// <summary>One version of a record.</summary>
/// <param name="SupersededBy">The next version, or null when this is the last.</param>
/// <param name="Leaf">The hash that stays of an erased record; null while the content is kept.</param>
public sealed record RecordVersion(Guid Record, Guid Batch, DateTimeOffset Received, string Contributor, RecordState State, Guid? SupersededBy, byte[]? Leaf);

/// <summary>Which record took the place of which. Reads SQL alone: no content is looked at.</summary>
public sealed class RecordVersions(World world, RecordStore store)
{
    /// <summary>Versions listed of one record; a longer chain is cut at its end.</summary>
    public const int VersionsMax = 1_000;

    /// <summary>The record as it stands, or null when the dataset has none with this id.</summary>
    public RecordVersion? Find(string dataset, Guid record)
    {
        using var connection = NodeDatabase.OpenReader(world);
        return Find(connection, dataset, record);
    }

    /// <summary>All versions from the first to the last, whichever of them is named; empty when the dataset has no such record.</summary>
    public IReadOnlyList<RecordVersion> History(string dataset, Guid record)
    {
        using var connection = NodeDatabase.OpenReader(world);
        if (Find(connection, dataset, record) is not { } version)
            return [];
        var versions = new List<RecordVersion> { version };
        while (versions.Count < VersionsMax && Before(connection, versions[0].Record) is { } before && Find(connection, dataset, before) is { } earlier)
            versions.Insert(0, earlier);
        while (versions.Count < VersionsMax && versions[^1].SupersededBy is { } next && Find(connection, dataset, next) is { } later)
            versions.Add(later);
        return versions;
    }

    private RecordVersion? Find(DbConnection connection, string dataset, Guid record)
    {
        if (!RecordId.TrySplit(record, out var batchId, out var ordinal) || store.FindBatch(batchId) is not { } batch || batch.Dataset != dataset || ordinal >= batch.Rows)
            return null;
        using var command = connection.CreateCommand();
        command.CommandText = """
            SELECT r.by_record, r.leaf FROM replaced r JOIN dataset d ON d.number = r.dataset WHERE d.id = @dataset AND r.batch = @batch AND r.ordinal = @ordinal
            """;
        command.Set("@dataset", dataset);
        command.Set("@batch", RecordId.Bytes(batchId));
        command.Set("@ordinal", (long)ordinal);
        using var reader = command.ExecuteReader();
        Guid? by = null;
        byte[]? leaf = null;
        var state = RecordState.Current;
        if (reader.Read())
        {
            by = reader.IsDBNull(0) ? null : RecordId.FromBytes((byte[])reader[0]);
            leaf = reader.IsDBNull(1) ? null : (byte[])reader[1];
            state = leaf is null ? RecordState.Superseded : RecordState.Erased;
        }
        return new(record, batchId, batch.Received, batch.Contributor, state, by, leaf);
    }

    private static Guid? Before(DbConnection connection, Guid record)
    {
        using var command = connection.CreateCommand();
        command.CommandText = "SELECT batch, ordinal FROM replaced WHERE by_record = @record";
        command.Set("@record", RecordId.Bytes(record));
        using var reader = command.ExecuteReader();
        return reader.Read() ? RecordId.Of(RecordId.FromBytes((byte[])reader[0]), (uint)reader.GetInt64(1)) : null;
    }
}
