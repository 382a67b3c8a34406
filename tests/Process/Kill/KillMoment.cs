using System.Diagnostics;

namespace Gongzhi.Tests.Process.Kill;

/// <summary>What must be seen before the program is killed.</summary>
internal enum Sign { Receipts, UploadBytes, SegmentBegun, SegmentNamed, Tile, Checkpoint, StateChange, Journal, RejectsNamed, Correction, Erasure }

/// <summary>
/// Kills at the n-th occurrence of one sign and a short random while later: signs are what clients see and what appears on the disk, so that the
/// moments fall among the steps of a commit and not between two requests.
/// </summary>
internal sealed class KillMoment : IDisposable
{
    private readonly RunningNode _node;
    private readonly Sign _sign;
    private readonly TimeSpan _after;
    private readonly List<FileSystemWatcher> _watchers = [];
    private long _left;
    private int _killed;

    public KillMoment(RunningNode node, string data, Random random, int round)
    {
        _node = node;
        var signs = Enum.GetValues<Sign>();
        _sign = signs[round % signs.Length];
        // How often each sign comes in a second or two of the load.
        _left = random.Next(1, _sign switch
        {
            Sign.Receipts => 80,
            Sign.UploadBytes => 2_500_000,
            Sign.SegmentBegun or Sign.SegmentNamed => 8,
            Sign.Tile => 60,
            Sign.Checkpoint => 20,
            Sign.StateChange => 25,
            Sign.RejectsNamed => 12,
            Sign.Correction => 30,
            Sign.Erasure => 6,
            _ => 400,
        });
        // At once, within a step, or within the steps that follow it.
        _after = TimeSpan.FromMicroseconds(random.Next(3) switch { 0 => 0, 1 => random.Next(1_000), _ => random.Next(30_000) });
        Described = $"{_sign} {_left}, {_after.TotalMicroseconds} µs later";
        var ledger = Path.Combine(data, "ledger");
        switch (_sign)
        {
            case Sign.SegmentBegun:
                Watch(Path.Combine(data, "segments"), "*.tmp", w => w.Created += (_, _) => Seen(Sign.SegmentBegun));
                break;
            case Sign.SegmentNamed:
                Watch(Path.Combine(data, "segments"), "*", w => w.Renamed += (_, _) => Seen(Sign.SegmentNamed));
                break;
            case Sign.Tile:
                Watch(Path.Combine(ledger, ".tmp"), "*", w => w.Created += (_, _) => Seen(Sign.Tile));
                break;
            case Sign.Checkpoint:
                Watch(ledger, "checkpoint", w => w.Created += (_, _) => Seen(Sign.Checkpoint), w => w.Renamed += (_, _) => Seen(Sign.Checkpoint));
                break;
            case Sign.Journal:
                Watch(data, "node.db-wal", w => w.Changed += (_, _) => Seen(Sign.Journal));
                break;
            case Sign.RejectsNamed:
                Watch(Path.Combine(data, "rejects"), "*", w => w.Renamed += (_, _) => Seen(Sign.RejectsNamed));
                break;
        }
    }

    public string Described { get; }

    public bool Killed => Volatile.Read(ref _killed) != 0;

    /// <summary>Tells of something seen; of the sign that is waited for, <paramref name="count"/> occurrences.</summary>
    public void Seen(Sign sign, long count = 1)
    {
        if (sign != _sign || Interlocked.Add(ref _left, -count) > 0 || Interlocked.Exchange(ref _killed, 1) != 0)
            return;
        var since = Stopwatch.GetTimestamp();
        while (Stopwatch.GetElapsedTime(since) < _after)
        {
        }
        _node.Kill();
    }

    /// <summary>Kills now: the round has failed.</summary>
    public void GiveUp()
    {
        if (Interlocked.Exchange(ref _killed, 1) == 0)
            _node.Kill();
    }

    public void Dispose() => _watchers.ForEach(w => w.Dispose());

    private void Watch(string directory, string filter, params Action<FileSystemWatcher>[] subscribe)
    {
        Directory.CreateDirectory(directory);
        var watcher = new FileSystemWatcher(directory, filter) { NotifyFilter = NotifyFilters.FileName | NotifyFilters.LastWrite | NotifyFilters.Size };
        foreach (var one in subscribe)
            one(watcher);
        watcher.EnableRaisingEvents = true;
        _watchers.Add(watcher);
    }
}
