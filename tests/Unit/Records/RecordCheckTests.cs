using System.Data.Common;
using System.Globalization;
using System.Text;
using Gongzhi.Core;
using Gongzhi.Core.Records;
using Gongzhi.Core.Storage;
using Gongzhi.Tests.Shared;
using Microsoft.EntityFrameworkCore.Metadata;

namespace Gongzhi.Tests.Unit.Records;

/// <summary>A directory with everything in it: segments, a folded segment, a tail, more entries than a tile holds. Made once, copied by each test.</summary>
public sealed class CheckedDirectory : IAsyncLifetime
{
    private const string Definition = """
        {"owner":"office","time":"at","place":"where","subject":"who","personal":true,
         "schema":{"fields":[
           {"name":"n","type":"integer"},{"name":"who","type":"string"},{"name":"at","type":"datetime"},{"name":"where","type":"place"}]}}
        """;

    public string Path { get; } = Directory.CreateTempSubdirectory("gongzhi-check-").FullName;
    public IModel Model { get; private set; } = null!;
    public Batch Large { get; private set; } = null!;
    public Batch Small { get; private set; } = null!;
    public Batch Folded { get; private set; } = null!;

    public async ValueTask InitializeAsync()
    {
        await using var core = await CoreFixture.OpenAsync(Path);
        Model = core.Model;
        var dataset = await core.DefineAsync("visits", Definition);
        Large = (await core.ContributeAsync(dataset, Csv(5_000))).Value!.Batch;
        Folded = (await core.ContributeAsync(dataset, Csv(300))).Value!.Batch;
        await core.ContributeAsync(dataset, Csv(7));
        await core.Fold.FoldAsync(dataset, TestContext.Current.CancellationToken);
        var other = await core.DefineAsync("others", Definition.Replace("true", "false", StringComparison.Ordinal));
        var many = await Task.WhenAll(Enumerable.Range(0, 280).Select(i => core.ContributeAsync(other, Csv(1 + i % 3))));
        Small = (await core.ContributeAsync(dataset, Csv(20))).Value!.Batch;
        foreach (var batch in many.Select(m => m.Value!.Batch).Append(Small))
            await core.Sequencer.WaitAsync(batch.Entry, TestContext.Current.CancellationToken);
    }

    public ValueTask DisposeAsync()
    {
        TestStore.Drop(Path);
        Directory.Delete(Path, recursive: true);
        return ValueTask.CompletedTask;
    }

    private static string Csv(int rows)
    {
        var text = new StringBuilder("n,who,at,where\n");
        for (var i = 0; i < rows; i++)
            text.Append(CultureInfo.InvariantCulture, $"{i},person-{i % 11},2026-03-{i % 28 + 1:D2} 08:00:00,99010100{i % 9}\n");
        return text.ToString();
    }
}

/// <summary>One byte changed in a stopped node's directory is found, and named as the thing it is, at its place.</summary>
public sealed class RecordCheckTests(CheckedDirectory made) : IClassFixture<CheckedDirectory>, IDisposable
{
    private readonly string _copy = Copy(made.Path);

    private World World => new() { Name = "test", Kind = WorldKind.Test, DataDirectory = _copy, LedgerOrigin = "test.gongzhi.example/log", Database = TestStore.Of(_copy) };

    public void Dispose()
    {
        TestStore.Drop(_copy);
        Directory.Delete(_copy, recursive: true);
    }

    [Fact]
    public async Task An_untouched_directory_is_what_was_committed_and_is_left_as_it_was()
    {
        // Not SQLite's side file of locks and read marks: every reader writes its own mark there, and nothing in it is content.
        var before = Directory.GetFiles(_copy, "*", SearchOption.AllDirectories)
            .Where(f => !f.EndsWith("-shm", StringComparison.Ordinal)).Order().ToDictionary(f => f, File.ReadAllBytes);
        var stages = new List<RecordCheckProgress>();
        var report = await CheckAsync(new Steps(stages));
        Assert.Empty(report.Findings);
        Assert.Equal(5_000 + 300 + 7 + 20 + Enumerable.Range(0, 280).Sum(i => 1 + i % 3), report.Rows);
        Assert.Equal(2, report.Segments);
        Assert.Equal(284, report.Batches);
        Assert.Equal(286, report.Entries);
        Assert.Equal(Enum.GetValues<CheckStage>(), stages.Select(s => s.Stage).Distinct());
        Assert.All(stages, s => Assert.True(s.Done <= s.Total));
        foreach (var (file, content) in before)
            Assert.True((await File.ReadAllBytesAsync(file, TestContext.Current.CancellationToken)).SequenceEqual(content), file);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Segment_row(bool folded)
    {
        var (batch, ordinal) = folded ? (made.Folded, 270) : (made.Large, 1_234);
        // Salts lie in the file as they are, so that one byte of one row can be changed and the file still read.
        var (path, salt) = Salt(batch.Id, ordinal);
        Change(path, IndexOf(await File.ReadAllBytesAsync(path, TestContext.Current.CancellationToken), salt) + 5);
        var findings = (await CheckAsync()).Findings;
        var place = "segments/" + Path.GetFileName(path);
        Assert.Collection(findings,
            file => Assert.Equal((CheckKind.Segment, place), (file.Kind, file.Place)),
            row =>
            {
                Assert.Equal((CheckKind.SegmentRow, place, "check.segment-row"), (row.Kind, row.Place, row.Code));
                Assert.Equal(batch.Id, row.Batch);
                Assert.Equal("visits", row.Dataset);
                Assert.InRange(ordinal, row.FirstRow!.Value, row.LastRow!.Value);
                Assert.InRange(row.LastRow!.Value - row.FirstRow!.Value, 0, 255);
            });
    }

    [Fact]
    public async Task Any_byte_of_a_segment_names_the_file()
    {
        var path = Salt(made.Large.Id, 0).Path;
        var whole = await File.ReadAllBytesAsync(path, TestContext.Current.CancellationToken);
        foreach (var at in Enumerable.Range(0, 40).Select(_ => Random.Shared.Next(whole.Length)).Append(0).Append(whole.Length - 1))
        {
            Change(path, at);
            var findings = (await CheckAsync()).Findings;
            Assert.True(findings.Any(f => f.Kind == CheckKind.Segment && f.Place == "segments/" + Path.GetFileName(path)), $"byte {at}");
            Assert.All(findings, f => Assert.True(f.Kind is CheckKind.Segment or CheckKind.SegmentRow, $"byte {at}: {f}"));
            await File.WriteAllBytesAsync(path, whole, TestContext.Current.CancellationToken);
        }
    }

    [Fact]
    public async Task A_missing_segment_is_named()
    {
        var path = Salt(made.Large.Id, 0).Path;
        File.Delete(path);
        var found = Assert.Single((await CheckAsync()).Findings);
        Assert.Equal((CheckKind.Segment, "segments/" + Path.GetFileName(path)), (found.Kind, found.Place));
    }

    [Fact]
    public async Task Tail_row()
    {
        Sql("UPDATE tail SET row = CAST(substr(row, 1, length(row) - 1) || X'38' AS BLOB) WHERE batch = @id AND ordinal = 7", made.Small.Id);
        var found = Assert.Single((await CheckAsync()).Findings);
        Assert.Equal((CheckKind.TailRow, "node.db tail", made.Small.Id, 0L, 19L), (found.Kind, found.Place, found.Batch, found.FirstRow, found.LastRow));
    }

    [Fact]
    public async Task A_tail_row_taken_away()
    {
        Sql("DELETE FROM tail WHERE batch = @id AND ordinal = 7", made.Small.Id);
        var findings = (await CheckAsync()).Findings;
        Assert.Equal([CheckKind.TailRow, CheckKind.Batch], findings.Select(f => f.Kind));
        Assert.All(findings, f => Assert.Equal(made.Small.Id, f.Batch));
    }

    [Theory]
    [InlineData("root = CAST(substr(root, 2) || substr(root, 1, 1) AS BLOB)")]
    [InlineData("tree = CAST(substr(tree, 2) || substr(tree, 1, 1) AS BLOB)")]
    [InlineData("schema_version = 2")]
    [InlineData("rows = 21")]
    public async Task Batch_row(string change)
    {
        Sql($"UPDATE batch SET {change} WHERE id = @id", made.Small.Id);
        var found = Assert.Single((await CheckAsync()).Findings, f => f.Kind == CheckKind.Batch);
        Assert.Equal((made.Small.Id, $"node.db batch {made.Small.Id}"), (found.Batch, found.Place));
    }

    [Fact]
    public async Task A_batch_taken_away()
    {
        Sql("DELETE FROM batch WHERE id = @id", made.Small.Id);
        Assert.Contains((await CheckAsync()).Findings, f => f is { Kind: CheckKind.Batch, Index: not null });
    }

    [Fact]
    public async Task Audited_state_entry()
    {
        Sql("DROP TRIGGER audit_change_fixed; UPDATE audit_change SET content = CAST(replace(CAST(content AS TEXT), 'others', 'othert') AS BLOB) WHERE seq = 2", null);
        var findings = (await CheckAsync()).Findings;
        Assert.NotEmpty(findings);
        Assert.All(findings, f => Assert.Equal(CheckKind.StateEntry, f.Kind));
        Assert.Contains(findings, f => f.Index is not null && f.English.Contains("entry-differs", StringComparison.Ordinal));
    }

    [Fact]
    public async Task State_that_no_entry_explains()
    {
        Sql("DROP TRIGGER audited_dataset_UPDATE; UPDATE dataset SET owner = 'offict' WHERE id = 'others'", null);
        Assert.Contains((await CheckAsync()).Findings, f => f.Kind == CheckKind.StateEntry && f.English.Contains("state-differs", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Ledger_entry_in_the_database()
    {
        Sql("DROP TRIGGER ledger_pending_fixed; UPDATE ledger_pending SET entry = substr(entry, 1, length(entry) - 1) WHERE log_index = 100", null);
        var findings = (await CheckAsync()).Findings;
        var found = Assert.Single(findings, f => f.Kind == CheckKind.LedgerEntry);
        Assert.Equal(100, found.Index);
        Assert.DoesNotContain(findings, f => f.Kind is CheckKind.Batch or CheckKind.EntryBundle or CheckKind.Tile or CheckKind.Checkpoint);
    }

    [Theory]
    [InlineData("tile/0/000", CheckKind.Tile)]
    [InlineData("tile/0/001.p/", CheckKind.Tile)]
    [InlineData("tile/1/", CheckKind.Tile)]
    [InlineData("tile/entries/000", CheckKind.EntryBundle)]
    [InlineData("tile/entries/001.p/", CheckKind.EntryBundle)]
    [InlineData("checkpoint", CheckKind.Checkpoint)]
    public async Task File_of_the_log(string part, CheckKind kind)
    {
        var ledger = TestStore.LogDirectory(World);
        var path = Directory.GetFiles(ledger, "*", SearchOption.AllDirectories)
            .Where(f => Path.GetRelativePath(ledger, f) is var name && (name == part || (part[^1] == '/' && name.StartsWith(part, StringComparison.Ordinal))))
            .OrderByDescending(f => new FileInfo(f).Length).First();
        var named = Path.GetRelativePath(ledger, path);
        var whole = await File.ReadAllBytesAsync(path, TestContext.Current.CancellationToken);
        for (var i = 0; i < 12; i++)
        {
            var changed = whole.ToArray();
            changed[Random.Shared.Next(whole.Length)] ^= (byte)Random.Shared.Next(1, 256);
            TestStore.ReplaceLogFile(World, named, changed);
            var found = Assert.Single((await CheckAsync()).Findings);
            Assert.Equal((kind, "ledger/" + named), (found.Kind, found.Place));
            TestStore.ReplaceLogFile(World, named, whole);
        }
    }

    [Fact]
    public async Task Bounds_that_leave_rows_out_are_named()
    {
        var path = Salt(made.Large.Id, 0).Path;
        Sql($"UPDATE segment SET time_min = time_min + 1 WHERE name = '{Path.GetFileNameWithoutExtension(path)}'", null);
        var found = Assert.Single((await CheckAsync()).Findings);
        Assert.Equal((CheckKind.Segment, "segments/" + Path.GetFileName(path)), (found.Kind, found.Place));
    }

    [Fact]
    public async Task A_damaged_database_is_named()
    {
        TestStore.OnlySqlite();
        var path = World.DatabasePath;
        var bytes = await File.ReadAllBytesAsync(path, TestContext.Current.CancellationToken);
        Random.Shared.NextBytes(bytes.AsSpan(4_096, bytes.Length - 4_096));
        await File.WriteAllBytesAsync(path, bytes, TestContext.Current.CancellationToken);
        Assert.Contains((await CheckAsync()).Findings, f => f is { Kind: CheckKind.Database, Place: "node.db" });
    }

    private Task<RecordCheckReport> CheckAsync(IProgress<RecordCheckProgress>? progress = null) =>
        RecordCheck.RunAsync(World, new RecordCheckOptions { Model = made.Model }, progress, TestContext.Current.CancellationToken);

    private (string Path, byte[] Salt) Salt(Guid batch, int ordinal)
    {
        using var connection = TestStore.OpenShell(World);
        using var command = connection.Command("SELECT s.name FROM segment s JOIN segment_batch l ON l.segment = s.number WHERE l.batch = @id").Set("@id", RecordId.Bytes(batch));
        var path = Path.Combine(World.SegmentDirectory, (string)command.ExecuteScalar()! + ".parquet");
        using var json = System.Text.Json.JsonDocument.Parse(Definition(connection));
        var dataset = Gongzhi.Core.Catalog.DatasetJson.Parse(json.RootElement, "visits", null, 1, 1).Value!;
        using var reader = new SegmentReader(dataset, new Segment { Number = 1, Path = path, SchemaVersion = 1, Rows = 0, Bytes = 0, TimeMin = 0, TimeMax = 0 });
        var rows = reader.Read(0, (b, o) => b == batch && o == ordinal)!;
        return (path, rows.Salt(0).ToArray());
    }

    private static string Definition(DbConnection connection)
    {
        using var command = connection.CreateCommand();
        command.CommandText = "SELECT definition FROM dataset_version WHERE dataset = 'visits'";
        return (string)command.ExecuteScalar()!;
    }

    private void Sql(string sql, Guid? id) =>
        Assert.True(TestStore.Tamper(World, sql, id is { } key ? [("id", RecordId.Bytes(key))] : []) > 0);

    private static void Change(string path, int at)
    {
        var bytes = File.ReadAllBytes(path);
        bytes[at] ^= (byte)(1 << Random.Shared.Next(8));
        File.WriteAllBytes(path, bytes);
    }

    private static int IndexOf(byte[] whole, byte[] part)
    {
        var at = whole.AsSpan().IndexOf(part);
        Assert.True(at > 0);
        return at;
    }

    private static string Copy(string from)
    {
        var to = Directory.CreateTempSubdirectory("gongzhi-check-").FullName;
        TestStore.Copy(from, to);
        foreach (var file in Directory.GetFiles(from, "*", SearchOption.AllDirectories))
        {
            var target = Path.Combine(to, Path.GetRelativePath(from, file));
            Directory.CreateDirectory(Path.GetDirectoryName(target)!);
            File.Copy(file, target);
        }
        return to;
    }

    private sealed class Steps(List<RecordCheckProgress> into) : IProgress<RecordCheckProgress>
    {
        public void Report(RecordCheckProgress value)
        {
            lock (into)
                into.Add(value);
        }
    }
}
