using System.Buffers.Binary;
using System.Data.Common;
using System.Security.Cryptography;
using System.Text;
using Gongzhi.Core.Catalog;
using Gongzhi.Core.Records;
using Gongzhi.Core.Storage;
using Microsoft.Extensions.Logging;

namespace Gongzhi.Core.Signals;

/// <summary>
/// One analysis on the partitions of one shard. A step reads what the log has beyond its offset, works on states in memory, and writes states, signals and offset in one transaction that
/// first compares the number of the last step: of two that run at once, as while a machine is being declared dead, one writes and the other begins anew from what is kept.
/// </summary>
internal sealed class AnalysisWork(AnalysisRunner runner, IAnalysis analysis, int shard)
{
    // Batches, indexes and rows of one step: what is done over when it fails, and how long it may hold states in memory.
    private const int BatchesMax = 1_000, TicksMax = 500;
    private const long RowsMax = 200_000, IndexesMax = 100_000;

    /// <summary>Ledger entries after which the offset alone is written: what a restart reads again of headers at most.</summary>
    internal const long UnwrittenMax = 10_000;

    private const int FailuresMax = 8;
    private static readonly TimeSpan RetryFirst = TimeSpan.FromSeconds(1), RetryLast = TimeSpan.FromMinutes(5);

    private Position? _position;
    private long _read;
    private int _failures;
    private DateTimeOffset _retry;
    private bool _tryParked = true;
    private string _failed = "";
    private readonly Queue<string> _standing = new();
    private int _reconsider = 1;

    public string Name => analysis.Name;

    /// <summary>Everything below this was looked at; what of it is not written is looked at again after a restart.</summary>
    public long Read => _read;

    public string? Failed => _failed.Length > 0 ? _failed : null;

    /// <summary>A definition changed: what is due may be due at another time.</summary>
    public void Reconsider() => Volatile.Write(ref _reconsider, 1);

    /// <returns>Whether there is more to do at once.</returns>
    public async Task<bool> StepAsync(CancellationToken cancel)
    {
        var now = runner.Clock.GetUtcNow();
        if (now < _retry)
            return false;
        try
        {
            if (_position is null)
                await LoadAsync().ConfigureAwait(false);
            // A newer program works on it, on another machine: it is not ours to touch.
            if (_position!.Version > analysis.Version || (_position.Parked is not null && !_tryParked))
                return false;
            var more = await StepOnAsync(now, cancel).ConfigureAwait(false);
            if (_failures > 0 || _position.Parked is not null)
            {
                (_failures, _failed, _tryParked) = (0, "", false);
                if (_position.Parked is not null)
                    await ParkAsync(null).ConfigureAwait(false);
            }
            return more;
        }
        catch (LostStepException)
        {
            // Another has gone on from where this one stood, or news came in between. Not at once: what it waits for needs its moment.
            _position = null;
            Reconsider();
            return false;
        }
        catch (Exception e) when (e is not OperationCanceledException and not WriterStoppedException and not StoreUnavailableException && !StoreFaults.IsUnavailable(e))
        {
            await FailAsync(e, now).ConfigureAwait(false);
            return false;
        }
    }

    private async Task FailAsync(Exception e, DateTimeOffset now)
    {
        _failures++;
        Reconsider();
        _failed = $"{e.GetType().Name}: {e.Message}";
        var pause = TimeSpan.FromTicks(Math.Min(RetryLast.Ticks, RetryFirst.Ticks << Math.Min(_failures - 1, 16)));
        _retry = now + pause;
        runner.Log.LogError(e, "The analysis {Analysis} failed in shard {Shard} from ledger index {Index} on, {Failures} times in a row; it is tried again after {Pause}", analysis.Name, shard, _position?.Next, _failures, pause);
        if (_failures < FailuresMax || _position is null)
            return;
        _tryParked = false;
        // With one batch at a time since the first failure, the offset stands at the batch that it fails on.
        await ParkAsync($"From ledger index {_position.Next} on, {_failures} times in a row. {_failed}").ConfigureAwait(false);
        runner.Log.LogCritical("The analysis {Analysis} is parked in shard {Shard} at ledger index {Index}: it goes on after a restart or with a newer version, if it then can", analysis.Name, shard, _position.Next);
    }

    private async Task ParkAsync(string? why)
    {
        var position = _position!;
        await runner.Writer.RunAsync(scope =>
        {
            using var update = scope.Command("UPDATE analysis_position SET parked = @why, step = step + 1 WHERE analysis = @analysis AND shard = @shard AND step = @step");
            if (update.Set("@why", why is { Length: > 1_000 } ? why[..1_000] : why).Set("@analysis", analysis.Name).Set("@shard", shard).Set("@step", position.Step).ExecuteNonQuery() != 1)
                throw new LostStepException();
        }).ConfigureAwait(false);
        _position = position with { Step = position.Step + 1, Parked = why };
    }

    private async Task LoadAsync()
    {
        _position = await runner.Writer.RunAsync(scope =>
        {
            using var insert = scope.Command("INSERT INTO analysis_position(analysis, shard, version, next_index, step) VALUES (@analysis, @shard, @version, 0, 0) ON CONFLICT DO NOTHING");
            insert.Set("@analysis", analysis.Name).Set("@shard", shard).Set("@version", analysis.Version).ExecuteNonQuery();
            using var restart = scope.Command("UPDATE analysis_position SET version = @version, next_index = 0, step = step + 1, parked = NULL WHERE analysis = @analysis AND shard = @shard AND version < @version");
            if (restart.Set("@analysis", analysis.Name).Set("@shard", shard).Set("@version", analysis.Version).ExecuteNonQuery() == 1)
            {
                using var forget = scope.Command("DELETE FROM analysis_state WHERE analysis = @analysis AND shard = @shard");
                forget.Set("@analysis", analysis.Name).Set("@shard", shard).ExecuteNonQuery();
            }
            using var read = scope.Command("SELECT version, next_index, step, parked FROM analysis_position WHERE analysis = @analysis AND shard = @shard");
            using var reader = read.Set("@analysis", analysis.Name).Set("@shard", shard).ExecuteReader();
            reader.Read();
            return new Position(reader.GetInt64(0), reader.GetInt64(1), reader.GetInt64(2), reader.IsDBNull(3) ? null : reader.GetString(3));
        }).ConfigureAwait(false);
        _read = _position.Next;
    }

    private async Task<bool> StepOnAsync(DateTimeOffset now, CancellationToken cancel)
    {
        var position = _position!;
        var head = runner.Sequencer.Log.Head.Size;
        var (batches, to) = ReadHeaders(head);
        var open = new Dictionary<string, Part>(StringComparer.Ordinal);
        foreach (var batch in batches)
        {
            cancel.ThrowIfCancellationRequested();
            if (!analysis.ReadsRows)
            {
                Process(open, batch, null);
                continue;
            }
            await foreach (var rows in runner.Rows.ReadAsync(batch.Dataset, batch.Id, batch.Rows, cancel).ConfigureAwait(false))
                Process(open, batch, rows);
        }
        var ticked = to == head ? Tick(open, now) : [];
        if (open.Count > 0 || to - position.Next >= UnwrittenMax)
        {
            await runner.Writer.RunAsync(scope => Write(scope, position, to, open, ticked), cancel).ConfigureAwait(false);
            _position = position with { Next = to, Step = position.Step + 1 };
        }
        _read = to;
        return to < head || _standing.Count > 0;
    }

    private void Process(Dictionary<string, Part> open, AnalysisBatch batch, RowColumns? rows)
    {
        foreach (var partition in analysis.Partitions(batch, rows))
        {
            if (ShardOf(partition) == shard)
                Open(open, partition).State.Process(batch, rows, open[partition].Sink);
        }
    }

    private Part Open(Dictionary<string, Part> open, string partition)
    {
        if (open.TryGetValue(partition, out var part))
            return part;
        if (partition.Length is 0 or > 200)
            throw new InvalidOperationException("A partition has 1 to 200 characters.");
        using var connection = NodeDatabase.OpenReader(runner.World);
        using var command = connection.Command("SELECT state FROM analysis_state WHERE analysis = @analysis AND part = @part");
        var snapshot = command.Set("@analysis", analysis.Name).Set("@part", partition).ExecuteScalar() as byte[];
        return open[partition] = new(analysis.Open(partition, snapshot, runner.Definitions(partition.Split('/')[0])), new SignalSink());
    }

    /// <summary>Tells the time to those that asked for it; answers the datasets of what was noticed so.</summary>
    private HashSet<long> Tick(Dictionary<string, Part> open, DateTimeOffset now)
    {
        if (Interlocked.Exchange(ref _reconsider, 0) == 1)
        {
            _standing.Clear();
            foreach (var partition in runner.Catalog.All.Where(analysis.Watches).Select(analysis.Standing).OfType<string>().Where(p => ShardOf(p) == shard))
                _standing.Enqueue(partition);
        }
        var partitions = Due(now);
        while (partitions.Count < TicksMax && _standing.TryDequeue(out var standing))
            partitions.Add(standing);
        var noticed = new HashSet<long>();
        foreach (var partition in partitions.Distinct(StringComparer.Ordinal))
        {
            var part = Open(open, partition);
            var said = part.Sink.Events.Count;
            if (part.State.Due is { } due && due <= now)
            {
                part.State.Tick(now, part.Sink);
                if (part.State.Due <= now)
                    throw new InvalidOperationException($"The analysis {analysis.Name} wants to be told a time that it was told.");
            }
            noticed.UnionWith(part.Sink.Events.Skip(said).Select(e => e.Dataset));
        }
        return noticed;
    }

    private List<string> Due(DateTimeOffset now)
    {
        using var connection = NodeDatabase.OpenReader(runner.World);
        using var command = connection.Command("SELECT part FROM analysis_state WHERE analysis = @analysis AND shard = @shard AND due <= @now ORDER BY due LIMIT @most");
        command.Set("@analysis", analysis.Name).Set("@shard", shard).Set("@now", Microseconds.From(now)).Set("@most", TicksMax);
        var found = new List<string>();
        using var reader = command.ExecuteReader();
        while (reader.Read())
            found.Add(reader.GetString(0));
        return found;
    }

    private void Write(WriteScope scope, Position position, long to, Dictionary<string, Part> open, HashSet<long> ticked)
    {
        using (var go = scope.Command("UPDATE analysis_position SET next_index = @to, step = step + 1 WHERE analysis = @analysis AND shard = @shard AND version = @version AND step = @step"))
        {
            if (go.Set("@to", to).Set("@analysis", analysis.Name).Set("@shard", shard).Set("@version", analysis.Version).Set("@step", position.Step).ExecuteNonQuery() != 1)
                throw new LostStepException();
        }
        // Under the writer's lock: news that is kept and not yet processed would make a lie of a silence. A step later it is.
        foreach (var dataset in ticked)
        {
            // From the few entries that are new: the other way round it would be all batches of the dataset.
            using var news = scope.Command("""
                SELECT EXISTS (SELECT 1 FROM (SELECT id FROM ledger_pending WHERE log_index IS NULL UNION SELECT id FROM ledger_pending WHERE log_index >= @to) p
                JOIN batch b ON b.entry = p.id WHERE b.dataset = @dataset)
                """);
            if (news.Set("@to", to).Set("@dataset", dataset).IsTrue())
                throw new LostStepException();
        }
        using var keep = scope.Command("""
            INSERT INTO analysis_state(analysis, part, shard, state, due) VALUES (@analysis, @part, @shard, @state, @due)
            ON CONFLICT (analysis, part) DO UPDATE SET shard = excluded.shard, state = excluded.state, due = excluded.due
            """);
        foreach (var (partition, part) in open)
        {
            var state = part.State.Snapshot();
            if (state.Length > AnalysisRunner.StateBytesMax)
                throw new InvalidOperationException($"The state of {partition} has {state.Length} bytes; {AnalysisRunner.StateBytesMax} are allowed.");
            keep.Set("@analysis", analysis.Name).Set("@part", partition).Set("@shard", shard).Set("@state", state)
                .Set("@due", part.State.Due is { } due ? Microseconds.From(due) : null).ExecuteNonQuery();
            foreach (var one in part.Sink.Events)
                SignalWriting.Write(scope, analysis.Name, partition, one);
        }
    }

    /// <summary>The batches from where it stands, in the order of the log, and up to which index that is.</summary>
    private (List<AnalysisBatch> Batches, long To) ReadHeaders(long head)
    {
        var (from, most) = (_read, _failures > 0 ? 1 : BatchesMax);
        var to = Math.Min(head, from + IndexesMax);
        var found = new List<AnalysisBatch>();
        if (from >= to)
            return (found, from);
        using var connection = NodeDatabase.OpenReader(runner.World);
        using var command = connection.Command("""
            SELECT p.log_index, b.id, b.dataset, b.schema_version, b.contributor, b.received, b.rows FROM ledger_pending p JOIN batch b ON b.entry = p.id
            WHERE p.log_index >= @from AND p.log_index < @to ORDER BY p.log_index LIMIT @most
            """);
        command.Set("@from", from).Set("@to", to).Set("@most", most);
        using var reader = command.ExecuteReader();
        var (read, rows) = (0, 0L);
        while (reader.Read())
        {
            read++;
            var (index, count) = (reader.GetInt64(0), reader.GetInt64(6));
            if (runner.Definition(reader.GetInt64(2), (int)reader.GetInt64(3)) is { } dataset && analysis.Watches(dataset))
            {
                var received = Microseconds.ToTime(reader.GetInt64(5));
                found.Add(new(index, RecordId.FromBytes((byte[])reader[1]), dataset, runner.UnitOf(reader.GetString(4), received, dataset), count, received));
                rows += count;
            }
            if (read == most || (analysis.ReadsRows && rows >= RowsMax))
                return (found, index + 1);
        }
        return (found, to);
    }

    /// <summary>The shard of a partition: the same on every machine and for ever.</summary>
    internal static int ShardOf(string partition)
    {
        Span<byte> hash = stackalloc byte[32];
        SHA256.HashData(Encoding.UTF8.GetBytes(partition), hash);
        return (int)(BinaryPrimitives.ReadUInt32BigEndian(hash) % AnalysisRunner.Shards);
    }

    private sealed record Position(long Version, long Next, long Step, string? Parked);

    private sealed class Part(IAnalysisState state, SignalSink sink)
    {
        public IAnalysisState State { get; } = state;
        public SignalSink Sink { get; } = sink;
    }
}

/// <summary>Another runner has written since, or news came between; nothing of this step was kept.</summary>
internal sealed class LostStepException() : Exception("Another has gone on with this analysis.");
