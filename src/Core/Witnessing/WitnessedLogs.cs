using Gongzhi.Core.Storage;
using Gongzhi.Ledger;

namespace Gongzhi.Core.Witnessing;

/// <summary>The newest checkpoints of other logs that this node has cosigned.</summary>
public sealed class WitnessedLogs(World world, NodeWriter writer, TimeProvider clock) : IWitnessState
{
    public ValueTask<ReadOnlyMemory<byte>?> FindAsync(string origin, CancellationToken cancel = default)
    {
        using var connection = NodeDatabase.OpenReader(world);
        using var command = connection.Command("SELECT note FROM witnessed_log WHERE origin = @origin").Set("@origin", origin);
        return ValueTask.FromResult(command.ExecuteScalar() is byte[] note ? (ReadOnlyMemory<byte>?)note : null);
    }

    public async ValueTask<bool> TryReplaceAsync(string origin, long sizeBefore, long size, ReadOnlyMemory<byte> note, CancellationToken cancel = default) =>
        await writer.RunAsync(scope =>
        {
            // A checkpoint of the empty log may have been cosigned before: there is a row then, of size 0.
            using var command = scope.Command(sizeBefore == 0
                ? """
                  INSERT INTO witnessed_log(origin, size, note, time) VALUES (@origin, @size, @note, @time)
                  ON CONFLICT (origin) DO UPDATE SET size = excluded.size, note = excluded.note, time = excluded.time WHERE witnessed_log.size = 0
                  """
                : "UPDATE witnessed_log SET size = @size, note = @note, time = @time WHERE origin = @origin AND size = @before");
            command.Set("@origin", origin).Set("@size", size).Set("@note", note.ToArray()).Set("@time", Microseconds.From(clock.GetUtcNow()));
            if (sizeBefore != 0)
                command.Set("@before", sizeBefore);
            return command.ExecuteNonQuery() == 1;
        }, cancel).ConfigureAwait(false);
}

/// <summary>The newest checkpoint of this world's own log that a witness has cosigned, with the cosignatures.</summary>
public sealed class CosignedCheckpoint(World world, NodeWriter writer, TimeProvider clock)
{
    /// <summary>The note and when it was cosigned; null before the first.</summary>
    public (byte[] Note, DateTimeOffset Time)? Find()
    {
        using var connection = NodeDatabase.OpenReader(world);
        using var command = connection.Command("SELECT note, time FROM cosigned_checkpoint WHERE one = 1");
        using var reader = command.ExecuteReader();
        return reader.Read() ? ((byte[])reader[0], Microseconds.ToTime(reader.GetInt64(1))) : null;
    }

    /// <summary>Puts it in the place of an older one.</summary>
    public Task KeepAsync(long size, byte[] note, CancellationToken cancel) => writer.RunAsync(scope =>
    {
        using var command = scope.Command("""
            INSERT INTO cosigned_checkpoint(one, size, note, time) VALUES (1, @size, @note, @time)
            ON CONFLICT (one) DO UPDATE SET size = excluded.size, note = excluded.note, time = excluded.time WHERE cosigned_checkpoint.size <= excluded.size
            """);
        command.Set("@size", size).Set("@note", note).Set("@time", Microseconds.From(clock.GetUtcNow())).ExecuteNonQuery();
    }, cancel);
}
