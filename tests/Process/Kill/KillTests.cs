using System.Diagnostics;
using System.Globalization;

namespace Gongzhi.Tests.Process.Kill;

/// <summary>
/// Kills the program at random moments under concurrent writers: what it acknowledged is there once, what it did not is there whole or not at
/// all, and the log extends every checkpoint that anyone saw. GONGZHI_KILLS says how often, GONGZHI_KILL_SEED repeats a run's draws.
/// </summary>
[Collection("One node at a time")]
public sealed class KillTests(ITestOutputHelper output)
{
    private const int KillsDefault = 20;

    /// <summary>A directory serves so many kills; then everything in it is checked and a fresh one begins, so that 200 kills do not check a city 200 times.</summary>
    private const int KillsPerDirectory = 25;

    [Fact]
    public async Task What_was_acknowledged_survives_and_the_rest_is_whole_or_absent()
    {
        var kills = Setting("GONGZHI_KILLS") ?? KillsDefault;
        var seed = Setting("GONGZHI_KILL_SEED") ?? Random.Shared.Next();
        output.WriteLine($"seed {seed}");
        var random = new Random(seed);
        var counts = new Tally();
        var since = Stopwatch.GetTimestamp();
        for (var done = 0; done < kills; done += KillsPerDirectory)
            await RunDirectoryAsync(done, Math.Min(KillsPerDirectory, kills - done), random, counts, since);
        output.WriteLine($"{kills} kills in {Stopwatch.GetElapsedTime(since).TotalSeconds:0} s; landed mid-commit: {counts.InFlight} with requests unanswered, {counts.Committed} contributions of them committed, "
            + $"{counts.Begun} while a segment was written, {counts.Unlisted} between a segment's rename and its commit, {counts.BeforeTiles} between compare-and-set and checkpoint, {counts.Pending} before the compare-and-set, "
            + $"{counts.OpenChanges} with a state change unanswered, {counts.Corrections} with a correction, {counts.Erasures} with an erasure; {counts.Notes} records corrected and erased, {counts.Receipts} receipts, {counts.Rows} rows, {counts.Checkpoints} checkpoints seen, {counts.Folds} folds");
        Assert.True(counts.InFlight > kills / 2, "hardly any kill came while something was going on");
        if (kills < KillsDefault)
            return;
        Assert.True(counts.Folds > 0, "no tail was folded");
        // Each kind of moment was really met, not only that something was under way.
        Assert.True(counts.Begun + counts.Unlisted > 0, "no kill came while a segment was written or before it was listed");
        Assert.True(counts.Pending + counts.BeforeTiles > 0, "no kill came between a commit and the checkpoint that covers it");
        Assert.True(counts.Committed > 0, "no contribution was committed without its acknowledgement having arrived");
        Assert.True(counts.OpenChanges > 0, "no kill came while permissions or units were changed");
        Assert.True(counts.Corrections + counts.Erasures > 0, "no kill came while a record was corrected or erased");
    }

    private async Task RunDirectoryAsync(int first, int kills, Random random, Tally counts, long since)
    {
        var data = Directory.CreateTempSubdirectory("gongzhi-kill-");
        var told = new Told();
        var oracle = new KillOracle(data.FullName, told);
        var node = await RunningNode.StartAsync(data.FullName);
        try
        {
            foreach (var dataset in KillLoad.Datasets)
                await node.DefineAsync(dataset, personal: dataset == "people", dataset == KillLoad.Keyed ? ["key", "n"] : [], ("key", "string"), ("n", "integer"));
            await node.DefineAsync(KillLoad.Noted, personal: true, ("key", "string"), ("n", "integer"));
            await oracle.TrustAsync(node);
            for (var round = first; round < first + kills; round++)
            {
                using (var moment = new KillMoment(node, data.FullName, random, round))
                {
                    var described = moment.Described;
                    await new KillLoad(node, told, moment, round).RunAsync(random);
                    node.Dispose();
                    var evidence = DiskEvidence.Read(data.FullName);
                    counts.Add(evidence, told);
                    output.WriteLine($"kill {round} at {Stopwatch.GetElapsedTime(since).TotalSeconds:0} s: {described}; {told.Open.Count} unanswered, {evidence}");
                }
                node = await RunningNode.StartAsync(data.FullName);
                counts.Committed += await oracle.CheckAsync(node, round, random);
            }
            await oracle.CheckAsync(node, null, random);
            await AnalysisEvidence.DemandEachBatchOnceAsync(data.FullName);
            counts.Finish(told, DiskEvidence.Folds(data.FullName));
        }
        finally
        {
            node.Dispose();
            data.Delete(recursive: true);
        }
    }

    private static int? Setting(string name) =>
        int.TryParse(Environment.GetEnvironmentVariable(name), NumberStyles.None, CultureInfo.InvariantCulture, out var n) ? n : null;

    private sealed class Tally
    {
        public int InFlight, Committed, Begun, Unlisted, BeforeTiles, Pending, OpenChanges, Corrections, Erasures, Notes, Receipts, Checkpoints;
        public long Rows, Folds;

        public void Add(DiskEvidence evidence, Told told)
        {
            InFlight += told.Open.IsEmpty ? 0 : 1;
            OpenChanges += told.OpenChanges > 0 ? 1 : 0;
            Corrections += told.Notes.Values.Any(n => n.Correcting) ? 1 : 0;
            Erasures += told.Notes.Values.Any(n => n.Erasing) ? 1 : 0;
            Begun += evidence.SegmentsBegun > 0 ? 1 : 0;
            Unlisted += evidence.SegmentsUnlisted > 0 ? 1 : 0;
            BeforeTiles += evidence.BeforeTiles ? 1 : 0;
            Pending += evidence.Pending > 0 ? 1 : 0;
        }

        public void Finish(Told told, long folds)
        {
            Notes += told.Notes.Count;
            Receipts += told.Contributions.Count;
            Rows += told.Contributions.Values.Sum(c => (long)c.Sent.Rows);
            Checkpoints += told.Checkpoints.Count;
            Folds += folds;
        }
    }
}
