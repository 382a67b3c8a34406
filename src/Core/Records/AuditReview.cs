using Gongzhi.Core.Audit;
using Gongzhi.Core.Storage;

namespace Gongzhi.Core.Records;

/// <summary>What a check of the audit found. <paramref name="LogSize"/>: entries of the log that was compared with.</summary>
public sealed record StateReport(IReadOnlyList<AuditFinding> Findings, long Changes, long LogSize);

/// <summary>
/// Checks the whole audit: tables against audit entries, audit entries against what waits for the ledger (<see cref="AuditVerifier"/>), and that against the log itself.
/// </summary>
public sealed class AuditReview(World world, Func<NodeDb> open, Sequencer sequencer) : IDisposable
{
    private const int Run = 256;

    /// <summary>One at a time: a check reads every audited row.</summary>
    private readonly SemaphoreSlim _one = new(1, 1);

    public async Task<StateReport> CheckAsync(CancellationToken cancel)
    {
        await _one.WaitAsync(cancel).ConfigureAwait(false);
        try
        {
            // On a thread of its own: reading may take a while and is not asynchronous in SQLite.
            var (findings, pending) = await Task.Run(() => ReadState(cancel), cancel).ConfigureAwait(false);
            await CompareAsync(pending, findings, cancel).ConfigureAwait(false);
            return new StateReport(findings, pending.Count, sequencer.Log.Head.Size);
        }
        finally
        {
            _one.Release();
        }
    }

    public void Dispose() => _one.Dispose();

    private (List<AuditFinding> Findings, List<(Guid Id, long? Index, byte[] Entry)> Pending) ReadState(CancellationToken cancel)
    {
        using var connection = NodeDatabase.OpenReader(world);
        using var db = open();
        var findings = AuditVerifier.Verify(connection, db.Model, cancel).ToList();
        using var command = connection.CreateCommand();
        command.CommandText = "SELECT p.id, p.log_index, p.entry FROM audit_change c JOIN ledger_pending p ON p.id = c.id ORDER BY p.log_index";
        using var reader = command.ExecuteReader();
        var pending = new List<(Guid, long?, byte[])>();
        while (reader.Read())
            pending.Add((RecordId.FromBytes((byte[])reader.GetValue(0)), reader.IsDBNull(1) ? null : reader.GetInt64(1), (byte[])reader.GetValue(2)));
        return (findings, pending);
    }

    private async Task CompareAsync(List<(Guid Id, long? Index, byte[] Entry)> pending, List<AuditFinding> findings, CancellationToken cancel)
    {
        var (start, run) = (0L, (IReadOnlyList<ReadOnlyMemory<byte>>)[]);
        var size = sequencer.Log.Head.Size;
        foreach (var (id, index, entry) in pending)
        {
            // What is not sequenced yet, or was after the size was read, is compared next time.
            if (index is not { } at || at >= size)
                continue;
            if (at < start || at >= start + run.Count)
            {
                start = at / Run * Run;
                run = await sequencer.Log.ReadEntriesAsync(start, (int)Math.Min(Run, size - start), cancel).ConfigureAwait(false);
            }
            if (!run[(int)(at - start)].Span.SequenceEqual(entry))
                findings.Add(new("log-differs", id, null, null, $"Entry {at} of the log is not the one that was made for this change."));
        }
    }
}
