using System.Globalization;
using System.Text;
using Gongzhi.Core;
using Gongzhi.Core.Records;
using Gongzhi.Core.Territory;
using Gongzhi.Tests.Shared;
using Microsoft.EntityFrameworkCore.Metadata;

namespace Gongzhi.Tests.Unit.Records;

/// <summary>A stopped node with corrections in a segment and in the tail, an erasure, a correction whose record was erased, and places. Made once, copied by each test.</summary>
public sealed class CorrectedDirectory : IAsyncLifetime
{
    public string Path { get; } = Directory.CreateTempSubdirectory("gongzhi-corrected-").FullName;
    public IModel Model { get; private set; } = null!;
    public Batch Segment { get; private set; } = null!;
    public Batch Tail { get; private set; } = null!;

    /// <summary>Of rows 10 to 12 of the segment: folded with their correction, and in the tail.</summary>
    public Batch Folded { get; private set; } = null!;
    public Batch Kept { get; private set; } = null!;

    public async ValueTask InitializeAsync()
    {
        var cancel = TestContext.Current.CancellationToken;
        await using var core = await CoreFixture.OpenAsync(Path);
        Model = core.Model;
        await core.Territory.ImportAsync([.. new[] { "99", "9901", "990101" }.Select(code => new Place { Code = PlaceCode.Parse(code), Name = "地" + code })], "system", cancel);
        await core.Territory.ImportAsync([new Place { Code = PlaceCode.Parse("990102"), Name = "新区" }], "system", cancel);
        var dataset = await core.DefineAsync("notes", """{"owner":"office","personal":true,"subject":"who","schema":{"fields":[{"name":"who","type":"string"},{"name":"n","type":"integer"}]}}""");
        Segment = (await core.ContributeAsync(dataset, Csv(3_000))).Value!.Batch;
        Folded = (await core.ContributeAsync(dataset, Correction(10, 11))).Value!.Batch;
        await core.ContributeAsync(dataset, Csv(300));
        await core.Fold.FoldAsync(dataset, cancel);
        Kept = (await core.ContributeAsync(dataset, Correction(12, 13))).Value!.Batch;
        Tail = (await core.ContributeAsync(dataset, Csv(20))).Value!.Batch;
        // One row that was never corrected, and one that corrects another.
        foreach (var record in new[] { RecordId.Of(Segment.Id, 20), RecordId.Of(Kept.Id, 1) })
        {
            var erased = await core.Erasures.EraseAsync(new() { Dataset = dataset, Author = "steward", Records = [record], Reason = "requested" }, cancel);
            Assert.True(erased.Ok, erased.Problem?.Detail);
            await core.Sequencer.WaitAsync(erased.Value.Id, cancel);
        }
    }

    public ValueTask DisposeAsync()
    {
        TestStore.Drop(Path);
        Directory.Delete(Path, recursive: true);
        return ValueTask.CompletedTask;
    }

    private static string Csv(int rows) => "who,n\n" + string.Concat(Enumerable.Range(0, rows).Select(i => string.Create(CultureInfo.InvariantCulture, $"p{i % 7},{i}\n")));

    private string Correction(params uint[] rows)
    {
        var text = new StringBuilder("_supersedes,who,n\n");
        foreach (var row in rows)
            text.Append(CultureInfo.InvariantCulture, $"{RecordId.Of(Segment.Id, row)},p0,-1\n");
        return text.ToString();
    }
}

/// <summary>Nobody hides a row by the lists that say why it is not shown, nor passes a lost one off as erased, nor moves a place.</summary>
public sealed class RecordCheckReplacedTests(CorrectedDirectory made) : IClassFixture<CorrectedDirectory>, IDisposable
{
    private readonly string _copy = Directory.CreateTempSubdirectory("gongzhi-corrected-").FullName;

    private World World => new() { Name = "test", Kind = WorldKind.Test, DataDirectory = _copy, LedgerOrigin = "test.gongzhi.example/log", Database = TestStore.Of(_copy) };

    public void Dispose()
    {
        TestStore.Drop(_copy);
        Directory.Delete(_copy, recursive: true);
    }

    [Fact]
    public async Task Corrections_erasures_and_places_as_they_were_committed_are_sound()
    {
        Copy();
        Assert.Empty((await CheckAsync()).Findings);
    }

    [Theory]
    [InlineData("a row hidden by a record that there is not", "INSERT INTO replaced(dataset, batch, ordinal, by_record) SELECT dataset, id, 500, randomblob(16) FROM batch WHERE id = @segment; UPDATE segment SET has_replaced = 1", CheckKind.Correction, 500)]
    [InlineData("a row hidden by one that corrects another", "INSERT INTO replaced(dataset, batch, ordinal, by_record) SELECT dataset, batch, 500, by_record FROM replaced WHERE batch = @segment AND ordinal = 10", CheckKind.Correction, 500)]
    [InlineData("a row hidden by one that corrects another, of the tail", "INSERT INTO replaced(dataset, batch, ordinal, by_record) SELECT dataset, batch, 500, by_record FROM replaced WHERE batch = @segment AND ordinal = 12", CheckKind.Correction, 500)]
    [InlineData("a row hidden by one that corrects nothing", "INSERT INTO replaced(dataset, batch, ordinal, by_record) SELECT dataset, id, 500, @tail FROM batch WHERE id = @segment", CheckKind.Correction, 500)]
    [InlineData("a row hidden for no reason", "INSERT INTO replaced(dataset, batch, ordinal) SELECT dataset, id, 500 FROM batch WHERE id = @segment", CheckKind.Correction, 500)]
    [InlineData("a tail row hidden for no reason", "INSERT INTO replaced(dataset, batch, ordinal) SELECT dataset, id, 3 FROM batch WHERE id = @tail", CheckKind.Correction, 3)]
    [InlineData("a row that does not exist", "INSERT INTO replaced(dataset, batch, ordinal) SELECT dataset, id, 99999 FROM batch WHERE id = @segment", CheckKind.Correction, 99999)]
    [InlineData("a corrected row shown again", "DELETE FROM replaced WHERE batch = @segment AND ordinal = 10", CheckKind.Correction, 10)]
    [InlineData("a corrected row shown again, of the tail", "DELETE FROM replaced WHERE batch = @segment AND ordinal = 12", CheckKind.Correction, 12)]
    [InlineData("a correction turned round", "UPDATE replaced SET by_record = (SELECT by_record FROM replaced WHERE batch = @segment AND ordinal = 11) WHERE batch = @segment AND ordinal = 10", CheckKind.Correction, 10)]
    [InlineData("a mark taken away", "UPDATE segment SET has_replaced = 0", CheckKind.Correction, null)]
    [InlineData("a lost row called erased", "INSERT INTO replaced(dataset, batch, ordinal, leaf) SELECT dataset, batch, ordinal, gz_leaf(row, salt) FROM tail WHERE batch = @tail AND ordinal = 7; DELETE FROM tail WHERE batch = @tail AND ordinal = 7", CheckKind.Erasure, 7)]
    [InlineData("a lost row added to an erasure", "INSERT INTO replaced(dataset, batch, ordinal, leaf) SELECT dataset, batch, ordinal, gz_leaf(row, salt) FROM tail WHERE batch = @tail AND ordinal = 7; DELETE FROM tail WHERE batch = @tail AND ordinal = 7; INSERT INTO erased SELECT dataset, @tail, 7, erasure FROM erased LIMIT 1", CheckKind.Erasure, null)]
    [InlineData("a lost row put in the place of an erased one", "INSERT INTO replaced(dataset, batch, ordinal, leaf) SELECT dataset, batch, ordinal, gz_leaf(row, salt) FROM tail WHERE batch = @tail AND ordinal = 7; DELETE FROM tail WHERE batch = @tail AND ordinal = 7; UPDATE erased SET batch = @tail, ordinal = 7 WHERE batch = @segment", CheckKind.Erasure, null)]
    [InlineData("a made-up erasure", "INSERT INTO erasure SELECT randomblob(16), dataset, author, time, reason, records, request, content, salt, finished FROM erasure LIMIT 1", CheckKind.Erasure, null)]
    [InlineData("an erasure with another reason", "UPDATE erasure SET reason = 'none' WHERE id = (SELECT id FROM erasure ORDER BY id LIMIT 1)", CheckKind.Erasure, null)]
    [InlineData("an erasure with another content", "UPDATE erasure SET content = replace(content, 'requested', 'requestet') WHERE id = (SELECT id FROM erasure ORDER BY id LIMIT 1)", CheckKind.Erasure, null)]
    [InlineData("an erasure taken away", "DELETE FROM erasure WHERE id = (SELECT id FROM erasure ORDER BY id LIMIT 1)", CheckKind.Erasure, null)]
    [InlineData("a leaf taken away", "DELETE FROM replaced WHERE batch = @segment AND ordinal = 20", CheckKind.Erasure, null)]
    [InlineData("a place moved", "UPDATE place SET definition = replace(definition, '990102', '990101') WHERE code = '990102'", CheckKind.Place, null)]
    [InlineData("a place made up", "INSERT INTO place(code, definition) VALUES ('990103', '{\"code\":\"990103\",\"name\":\"x\"}')", CheckKind.Place, null)]
    [InlineData("a place taken away", "DELETE FROM place WHERE code = '9901'", CheckKind.Place, null)]
    public async Task What_was_changed_is_named(string what, string sql, CheckKind kind, int? row)
    {
        Copy();
        Sql(sql);
        var findings = (await CheckAsync()).Findings;
        Assert.True(findings.Any(f => f.Kind == kind && f.FirstRow == row && f.English.Length > 0 && f.Chinese.Length > 0), what + ": " + string.Join("\n", findings));
        Assert.All(findings.Where(f => f.Kind == kind), f => Assert.Equal("check." + kind.ToString().ToLowerInvariant(), f.Code));
    }

    private Task<RecordCheckReport> CheckAsync() => RecordCheck.RunAsync(World, new RecordCheckOptions { Model = made.Model }, null, TestContext.Current.CancellationToken);

    private void Sql(string sql) => Assert.True(TestStore.Tamper(World, sql, ("segment", RecordId.Bytes(made.Segment.Id)), ("tail", RecordId.Bytes(made.Tail.Id))) > 0);

    private void Copy()
    {
        TestStore.Copy(made.Path, _copy);
        foreach (var file in Directory.GetFiles(made.Path, "*", SearchOption.AllDirectories))
        {
            var target = Path.Combine(_copy, Path.GetRelativePath(made.Path, file));
            Directory.CreateDirectory(Path.GetDirectoryName(target)!);
            File.Copy(file, target);
        }
    }
}
