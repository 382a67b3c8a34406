using Gongzhi.Core.Storage;
using Gongzhi.Ledger;

namespace Gongzhi.Core.Records;

/// <summary>
/// Where the log stands, in one row: which head, and the one before it, so that a step interrupted after its commit can be completed. On PostgreSQL also the log itself
/// (<see cref="SqlTileStore"/>).
/// </summary>
public sealed class LogStateSchema : IHotSchema
{
    public string Sql(SqlStore store) => $"""
        CREATE TABLE IF NOT EXISTS log_state (
            one {store.Number} PRIMARY KEY CHECK (one = 1),
            size {store.Number} NOT NULL,
            root {store.Bytes} NOT NULL,
            before_size {store.Number} NOT NULL,
            before_root {store.Bytes} NOT NULL
        );
        {(store is PostgresStore ? SqlTileStore.Schema(store) + WorldKeys.Schema(store) : "")}
        """;
}

/// <summary>
/// The log's commit point in the node's own database. The compare-and-set is one UPDATE on size and root; the indexes of the
/// step's entries are set in the same transaction, so an entry has an index exactly when it is in the tree.
/// </summary>
public sealed class SqlTreeState(World world, NodeWriter writer) : ITreeState
{
    public ValueTask<TreeStep?> LoadAsync(CancellationToken cancel = default)
    {
        using var connection = NodeDatabase.OpenReader(world);
        using var transaction = connection.BeginSnapshot();
        using var command = connection.CreateCommand();
        command.Transaction = transaction;
        command.CommandText = "SELECT size, root, before_size, before_root FROM log_state WHERE one = 1";
        TreeHead before, after;
        using (var reader = command.ExecuteReader())
        {
            if (!reader.Read())
                return ValueTask.FromResult<TreeStep?>(null);
            after = new TreeHead(reader.GetInt64(0), (byte[])reader[1]);
            before = new TreeHead(reader.GetInt64(2), (byte[])reader[3]);
        }
        using var entries = connection.CreateCommand();
        entries.Transaction = transaction;
        entries.CommandText = "SELECT id, entry, log_index FROM ledger_pending WHERE log_index >= @from ORDER BY log_index";
        entries.Set("@from", before.Size);
        var step = new List<PendingEntry>();
        using (var reader = entries.ExecuteReader())
        {
            while (reader.Read())
            {
                if (reader.GetInt64(2) != before.Size + step.Count)
                    throw new LedgerCorruptException("node.db", "The indexes of the last entries have a gap.");
                step.Add(new PendingEntry(RecordId.FromBytes((byte[])reader[0]), (byte[])reader[1]));
            }
        }
        if (step.Count != after.Size - before.Size)
            throw new LedgerCorruptException("node.db", "The last step's entries are not all there.");
        return ValueTask.FromResult<TreeStep?>(new TreeStep(before, after, step));
    }

    public async ValueTask<bool> TryAdvanceAsync(TreeStep step, CancellationToken cancel = default) =>
        await writer.RunAsync(scope =>
        {
            using (var command = scope.Command(step.Before.Size == 0
                ? """
                  INSERT INTO log_state(one, size, root, before_size, before_root) VALUES (1, @size, @root, @beforeSize, @beforeRoot)
                  ON CONFLICT DO NOTHING
                  """
                : """
                  UPDATE log_state SET size = @size, root = @root, before_size = @beforeSize, before_root = @beforeRoot
                  WHERE one = 1 AND size = @beforeSize AND root = @beforeRoot
                  """))
            {
                command.Set("@size", step.After.Size);
                command.Set("@root", step.After.Root.ToArray());
                command.Set("@beforeSize", step.Before.Size);
                command.Set("@beforeRoot", step.Before.Root.ToArray());
                if (command.ExecuteNonQuery() != 1)
                    return false;
            }
            if (SqlStore.Of(scope).PlaceEntries(scope, [.. step.Entries.Select(e => RecordId.Bytes(e.Id))], step.Before.Size) != step.Entries.Count)
                throw new InvalidOperationException("An entry of the step is not waiting in the database.");
            return true;
        }, cancel).ConfigureAwait(false);

    public ValueTask<IReadOnlyDictionary<Guid, long>> FindAsync(IReadOnlyCollection<Guid> ids, CancellationToken cancel = default)
    {
        using var connection = NodeDatabase.OpenReader(world);
        var found = SqlStore.Of(world).FindPlaced(connection, [.. ids.Distinct().Select(RecordId.Bytes)]).ToDictionary(f => RecordId.FromBytes(f.Id), f => f.Index);
        return ValueTask.FromResult<IReadOnlyDictionary<Guid, long>>(found);
    }
}
