using System.Text.Json;
using Apache.Arrow.Ipc;
using Gongzhi.Core.Catalog;
using Gongzhi.Core.Parties;
using Gongzhi.Core.Policy;
using Gongzhi.Core.Query;
using Gongzhi.Core.Records;
using Gongzhi.Core.Territory;
using Gongzhi.SampleCity;
using Microsoft.Extensions.DependencyInjection;

namespace Gongzhi.Perf.Figures;

/// <summary>Ten million payments contributed in many parts, so that they lie in as many segments and a tail; a reading party with its grants; and raw DuckDB over the same files.</summary>
internal sealed class P2World : IAsyncDisposable
{
    private const string Reader = "analyst", Unit = "audit";
    private const int TailRows = 2_000;
    private readonly BenchNode _node;
    private readonly Dataset _dataset;
    private RecordSnapshot _whole;
    private string _rawRows = "";

    private P2World(BenchNode node, Dataset dataset, Duck duck) => (_node, _dataset, Duck, _whole) = (node, dataset, duck, null!);

    public Duck Duck { get; }
    public int Segments => _whole.Segments.Count;
    public long Rows { get; private set; }

    /// <summary>The one CSV file that all of it came from.</summary>
    public string Csv { get; private set; } = "";

    public static async Task<P2World> MakeAsync(Bench bench, int rows, int parts, BenchCluster? cluster = null)
    {
        Bench.Say(Text.Invariant($"P2: contributing {rows} rows in {parts} parts"));
        var node = await BenchNode.StartAsync(bench, "p2", cluster);
        // The figure asks for many segments; left alone, the node would merge them meanwhile.
        await node.Services.GetRequiredService<Compaction>().DisposeAsync();
        var world = new P2World(node, await node.DefinePaymentsAsync("payments"), new Duck()) { Rows = rows };
        world.Csv = Payments.Csv(bench, rows);
        var cut = new CsvParts(world.Csv, rows / parts);
        for (var i = 0; i < cut.Count - 1; i++)
            await node.ContributeAsync(world._dataset, cut.Open(i), "text/csv");
        // The last part less the rows that stay in SQL.
        await world.LastAsync(bench, cut);
        await world.GrantAsync();
        world._whole = node.Services.GetRequiredService<TailTables>().Open(world._dataset, 0);
        if (world._whole.TailTable is null || world._whole.Segments.Count != parts || world._whole.Segments.Sum(s => s.Rows) + TailRows != rows)
            throw new InvalidOperationException("The rows do not lie as they should.");
        world.Attach();
        return world;
    }

    /// <summary>A question through the whole road: decided, compiled, its access durable, run, and written out as Arrow to the end. Answers the rows.</summary>
    public async Task<long> AskAsync(P2Question question)
    {
        var caller = _node.Services.GetRequiredService<PartyDirectory>().Resolve(Reader)!;
        var answer = await _node.Services.GetRequiredService<GovernedQuery>().RunAsync(caller, Request(question), CancellationToken.None);
        if (!answer.Ok)
            throw new InvalidOperationException(answer.Problem.Detail);
        using (answer.Value)
            return (await QueryWriter.WriteAsync(answer.Value.Reader, Stream.Null, QueryFormat.Arrow, "", false, CancellationToken.None)).Rows;
    }

    /// <summary>The same question as the program's own client puts it to any machine: under grants like the reader's, Arrow read to its end and thrown away.</summary>
    public async Task AskAsync(HttpClient http, P2Question question)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, "/api/v1/query")
        {
            Content = new StringContent(Body(question), null, "application/json"),
        };
        request.Headers.Accept.ParseAdd(QueryWriter.MediaType(QueryFormat.Arrow));
        using var response = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
        if (!response.IsSuccessStatusCode)
            throw new InvalidOperationException(await response.Content.ReadAsStringAsync());
        await response.Content.CopyToAsync(Stream.Null);
    }

    /// <summary>That nobody has merged segments meanwhile, so that all were asked of the same files.</summary>
    public void DemandUnchanged()
    {
        using var now = _node.Services.GetRequiredService<TailTables>().Open(_dataset, 0);
        if (!now.Segments.Select(s => s.Path).SequenceEqual(_whole.Segments.Select(s => s.Path)))
            throw new InvalidOperationException("The segments are others than at the beginning.");
    }

    /// <summary>The node in this process, over HTTP.</summary>
    public HttpClient Http => _node.Http;

    public Task SignInAsync() => _node.SignInAsync();

    /// <summary>The same compiled under the same permit over a part of the segments, or with rows that were replaced since.</summary>
    public async Task<long> AskAsync(P2Question question, int segments, string? replaced = null)
    {
        var caller = _node.Services.GetRequiredService<PartyDirectory>().Resolve(Reader)!;
        var permit = _node.Services.GetRequiredService<PolicyEngine>().Decide(caller, _dataset, question.Purpose, TimeProvider.System.GetUtcNow()).Permit!;
        var snapshot = new RecordSnapshot(_dataset, [.. _whole.Segments.Take(segments).Select(s => s with { HasReplaced = replaced is not null })], _whole.TailTable, replaced, 0);
        var territory = _node.Services.GetRequiredService<TerritoryStore>();
        var compiled = QueryCompiler.Compile(Request(question), permit, snapshot, place => GovernedQuery.Ranges(territory, place));
        var reader = await _node.Services.GetRequiredService<DuckEngine>().RunAsync(compiled.Value!, CancellationToken.None);
        using (reader.Value!)
            return (await QueryWriter.WriteAsync(reader.Value!, Stream.Null, QueryFormat.Arrow, "", false, CancellationToken.None)).Rows;
    }

    /// <summary>The same SELECT without policy in raw DuckDB, read batch by batch and written out the same way.</summary>
    public async Task<long> RawAsync(P2Question question, string? rows = null)
    {
        using var command = Duck.Connection.CreateCommand();
        command.CommandText = string.Format(System.Globalization.CultureInfo.InvariantCulture, question.Raw, rows ?? _rawRows);
        command.UseStreamingMode = true;
        using var stream = command.ExecuteArrowStream();
        using var writer = new ArrowStreamWriter(Stream.Null, stream.Schema, leaveOpen: true);
        await writer.WriteStartAsync();
        long read = 0;
        while (await stream.ReadNextRecordBatchAsync() is { } batch)
        {
            using (batch)
            {
                await writer.WriteRecordBatchAsync(batch);
                read += batch.Length;
            }
        }
        await writer.WriteEndAsync();
        return read;
    }

    /// <summary>Marks every hundredth row as replaced, in a table as the snapshots name it; the same rows for the peer, which must leave them out too.</summary>
    public (string Table, string Raw) Replace()
    {
        var files = Files(Segments);
        _node.Services.GetRequiredService<DuckEngine>().Execute($"CREATE TABLE gone AS SELECT _batch, _ordinal FROM read_parquet([{files}]) WHERE id % 100 = 7");
        return ("gone", $"(SELECT * FROM {_rawRows} WHERE NOT (id % 100 = 7 AND id <= {Rows - TailRows}))");
    }

    public string RawRows(int segments) => $"(SELECT * FROM read_parquet([{Files(segments)}]) UNION ALL BY NAME SELECT * FROM tail)";

    public async ValueTask DisposeAsync()
    {
        _whole.Dispose();
        Duck.Dispose();
        await _node.DisposeAsync();
    }

    private QueryRequest Request(P2Question question)
    {
        using var json = JsonDocument.Parse(Body(question));
        var request = QueryRequest.Parse(json.RootElement, QueryFormat.Arrow);
        return request.Ok ? request.Value : throw new InvalidOperationException(request.Problem.Detail);
    }

    private string Body(P2Question question) => $"{{\"dataset\":\"{_dataset.Id}\",\"purpose\":\"{question.Purpose}\",{question.Question}}}";

    private string Files(int segments) => string.Join(", ", _whole.Segments.Take(segments).Select(s => $"'{s.Path}'"));

    private void Attach()
    {
        Duck.Execute($"CREATE TABLE tail AS SELECT * FROM read_csv('{Csv}', header = true, columns = {Payments.DuckColumns}) WHERE id > {Rows - TailRows}");
        Duck.Execute("CREATE TABLE typed AS SELECT * REPLACE (paid_at AT TIME ZONE 'UTC' AS paid_at) FROM tail");
        Duck.Execute("DROP TABLE tail");
        Duck.Execute("ALTER TABLE typed RENAME TO tail");
        _rawRows = RawRows(Segments);
    }

    private async Task LastAsync(Bench bench, CsvParts cut)
    {
        var (head, tail) = (bench.File("last.csv"), bench.File("tail.csv"));
        using (var reader = new StreamReader(cut.Open(cut.Count - 1)))
        {
            var lines = (await reader.ReadToEndAsync()).TrimEnd('\n').Split('\n');
            await File.WriteAllLinesAsync(head, lines[..^TailRows]);
            await File.WriteAllLinesAsync(tail, [lines[0], .. lines[^TailRows..]]);
        }
        await _node.ContributeAsync(_dataset, head, "text/csv");
        await _node.ContributeAsync(_dataset, tail, "text/csv");
    }

    private async Task GrantAsync()
    {
        var parties = _node.Services.GetRequiredService<PartyDirectory>();
        Must(await parties.CreateUnitAsync(_node.Caller, new Core.Parties.Unit { Id = Unit, NameZh = "审计", NameEn = "Audit", Place = "990101", Level = 1, Parent = "node", Kind = "government" }));
        Must(await parties.CreatePartyAsync(_node.Caller, Reader, PartyKind.Person, "Analyst"));
        Must(await parties.GiveRoleAsync(_node.Caller, Reader, Roles.Reader, Unit));
        foreach (var (purpose, members, party) in P2Questions.Grants.SelectMany(g => new[] { (g.Purpose, g.Members, Reader), (g.Purpose, g.Members, _node.Caller.Party) }))
        {
            using var body = JsonDocument.Parse($"{{\"dataset\":\"{_dataset.Id}\",\"grantee\":{{\"party\":\"{party}\"}},\"purposes\":[\"{purpose}\"],{members}}}");
            var made = await _node.Services.GetRequiredService<Grants>().CreateAsync(_node.Caller, body.RootElement.Clone());
            if (!made.Ok)
                throw new InvalidOperationException($"{made.Problem.Detail} {JsonSerializer.Serialize(made.Problem.Extensions)}");
        }

        static void Must(Core.Result<string> result)
        {
            if (!result.Ok)
                throw new InvalidOperationException(result.Problem.Detail);
        }
    }
}
