using Gongzhi.Core.Catalog;
using Gongzhi.SampleCity;

namespace Gongzhi.Perf.Figures;

/// <summary>P1: a file of a million payments contributed through the real door, beside raw DuckDB and PostgreSQL on the same file.</summary>
internal static class P1Contribute
{
    private const int Rows = 1_000_000, RowsQuick = 50_000, WarmRuns = 12;
    private static int _datasets;

    public static async Task<Section> CsvAsync(Bench bench)
    {
        var rows = bench.Rows(Rows, RowsQuick);
        var path = Payments.Csv(bench, rows);
        var postgres = await bench.PostgresAsync();
        await Payments.MakeTableAsync(postgres, "payments", audit: false);
        await Payments.MakeTableAsync(postgres, "payments_audit", audit: true);
        await using var node = await BenchNode.StartAsync(bench, "p1");
        using var duck = new Duck();
        var (ours, raw, keyed, audited) = (new Times(), new Times(), new Times(), new Times());
        await WarmAsync(bench, node, duck);
        double cpu = 0;
        for (var round = 0; round < bench.Repetitions; round++)
        {
            Bench.Say(Text.Invariant($"P1-csv round {round + 1}"));
            var before = Clock.CpuSeconds();
            ours.Add(await OursAsync(node, path, "text/csv", rows));
            cpu += Clock.CpuSeconds() - before;
            raw.Add(await RawAsync(bench, duck, Payments.ReadCsv(path)));
            keyed.Add(await Payments.CopyAsync(postgres, "payments", path));
            audited.Add(await Payments.CopyAsync(postgres, "payments_audit", path));
        }
        var what = Text.Invariant($"contribute CSV, {Text.Count(rows)} rows, {new FileInfo(path).Length / 1_000_000} MB");
        var mine = $"{ours}, {Text.Count(rows / ours.Median)} rows/s";
        return new("P1-csv", "contribute a CSV file",
        [
            new("P1", what + ", against raw DuckDB to Parquet (zstd, synced)", mine, raw.ToString(), Text.Ratio(raw.Median / ours.Median), "≥ 0.5×", raw.Median / ours.Median >= 0.5),
            new("P1", what + ", against PostgreSQL COPY with key and checks", mine, keyed.ToString(), Text.Ratio(keyed.Median / ours.Median), "≥ 3×", keyed.Median / ours.Median >= 3),
            new("P1", what + ", against the same with an audit trigger", mine, audited.ToString(), Text.Ratio(audited.Median / ours.Median), "≥ 8×", audited.Median / ours.Median >= 8),
        ],
        [
            Text.Invariant($"Processor time {cpu / bench.Repetitions:0.00} s a run over {Environment.ProcessorCount} cores."),
            .. await P1Stages.NotesAsync(node, path),
            "PostgreSQL: " + Postgres.Settings + "; it checks that a place has twelve digits, we look every place up.",
            await KeysAsync(node),
        ]);
    }

    public static async Task<Section> FormatsAsync(Bench bench)
    {
        var rows = bench.Rows(Rows, RowsQuick);
        var csv = Payments.Csv(bench, rows);
        using var duck = new Duck();
        var (ndjson, parquet) = (bench.File("payments.ndjson"), bench.File("payments.parquet"));
        duck.Execute($"COPY (SELECT id, card, merchant, category, amount, paid_at, place FROM read_csv('{csv}', header = true, all_varchar = true)) TO '{ndjson}' (FORMAT json)");
        duck.CopyDurably(Payments.ReadCsv(csv), parquet);
        await using var node = await BenchNode.StartAsync(bench, "p1");
        await node.SignInAsync();
        await WarmAsync(bench, node, duck);
        var (lines, rawLines, columns, rawColumns, rawCsv, http) = (new Times(), new Times(), new Times(), new Times(), new Times(), new Times());
        for (var round = 0; round < bench.Repetitions; round++)
        {
            Bench.Say(Text.Invariant($"P1-formats round {round + 1}"));
            lines.Add(await OursAsync(node, ndjson, "application/x-ndjson", rows));
            rawLines.Add(await RawAsync(bench, duck, $"SELECT * FROM read_json('{ndjson}', format = 'newline_delimited', columns = {Payments.DuckColumns})"));
            columns.Add(await OursAsync(node, parquet, "application/vnd.apache.parquet", rows));
            rawColumns.Add(await RawAsync(bench, duck, $"SELECT * FROM read_parquet('{parquet}')"));
            http.Add(await HttpAsync(node, csv, rows));
            rawCsv.Add(await RawAsync(bench, duck, Payments.ReadCsv(csv)));
        }
        var count = Text.Count(rows);
        return new("P1-formats", "contribute other formats, and over HTTP",
        [
            Against("contribute NDJSON, " + count + " rows, against raw DuckDB from the same file", lines, rawLines),
            Against("contribute Parquet, " + count + " rows, against raw DuckDB from the CSV", columns, rawCsv),
            Against("contribute Parquet, " + count + " rows, against raw DuckDB from Parquet, which only copies columns", columns, rawColumns) with { Goal = "", Met = null },
            Against("contribute CSV over HTTP on the loopback, " + count + " rows, against raw DuckDB from the file", http, rawCsv),
        ],
        [Text.Invariant($"NDJSON {new FileInfo(ndjson).Length / 1_000_000} MB, Parquet {new FileInfo(parquet).Length / 1_000_000} MB, both made from the CSV. NDJSON has its numbers as texts. The HTTP client and Kestrel share the two cores with the intake.")]);

        static Line Against(string what, Times ours, Times peer) =>
            new("P1", what, ours.ToString(), peer.ToString(), Text.Ratio(peer.Median / ours.Median), "≥ 0.5×", peer.Median / ours.Median >= 0.5);
    }

    public static async Task<Section> GrowthAsync(Bench bench)
    {
        var middle = bench.Rows(Rows, RowsQuick);
        int[] sizes = [middle / 4, middle, middle * 4];
        var postgres = await bench.PostgresAsync();
        await Payments.MakeTableAsync(postgres, "growing", audit: false);
        await using var node = await BenchNode.StartAsync(bench, "p1");
        using var duck = new Duck();
        await WarmAsync(bench, node, duck);
        var (ours, raw, keyed) = (new List<(double, double)>(), new List<(double, double)>(), new List<(double, double)>());
        foreach (var size in sizes)
        {
            Bench.Say(Text.Invariant($"P1-growth {size} rows"));
            var path = Payments.Csv(bench, size);
            ours.Add((size, await OursAsync(node, path, "text/csv", size)));
            raw.Add((size, await RawAsync(bench, duck, Payments.ReadCsv(path))));
            keyed.Add((size, await Payments.CopyAsync(postgres, "growing", path)));
            File.Delete(path);
        }
        var exponent = Growth.Exponent([.. ours]);
        return new("P1-growth", "contribute: growth at 1×, 4×, 16×",
        [
            new("P1", $"growth exponent of the time, CSV of {string.Join(", ", sizes.Select(s => Text.Count(s)))} rows", Text.Invariant($"{exponent:0.00}"),
                Text.Invariant($"DuckDB {Growth.Exponent([.. raw]):0.00}, PostgreSQL {Growth.Exponent([.. keyed]):0.00}"), "", "≤ 1.1", exponent <= 1.1),
        ],
        [$"Times: ours {List(ours)}; DuckDB {List(raw)}; PostgreSQL with key and checks {List(keyed)}. One run each."]);

        static string List(List<(double, double Seconds)> points) => string.Join(", ", points.Select(p => Text.Seconds(p.Seconds)));
    }

    /// <summary>Each into a dataset of its own, since the same keys twice would be another case.</summary>
    private static async Task<double> OursAsync(BenchNode node, string path, string type, int rows)
    {
        var dataset = await NewAsync(node);
        return await Clock.TimeAsync(async () =>
        {
            var receipt = await node.ContributeAsync(dataset, path, type);
            if (receipt.Batch.Rows != rows)
                throw new InvalidOperationException("Not every row was kept.");
        });
    }

    private static async Task<double> HttpAsync(BenchNode node, string path, int rows)
    {
        var dataset = await NewAsync(node);
        return await Clock.TimeAsync(async () =>
        {
            await using var file = File.OpenRead(path);
            using var content = new StreamContent(file, 1 << 16);
            content.Headers.ContentType = new("text/csv");
            using var response = await node.Http.PostAsync($"/api/v1/datasets/{dataset.Id}/records", content);
            var text = await response.Content.ReadAsStringAsync();
            if (!response.IsSuccessStatusCode || !text.Contains(Text.Invariant($"\"accepted\":{rows}"), StringComparison.Ordinal))
                throw new InvalidOperationException(text);
        });
    }

    /// <summary>Whether this version holds a dataset to its primary key: the comparison with PostgreSQL's key must say so.</summary>
    private static async Task<string> KeysAsync(BenchNode node)
    {
        var row = $"1,9901000000000000,A,ME,1.00,2025-01-01T08:00:00+08:00,{City.Generate().PlacesAt(PlaceLevel.Community)[0].Code}\n";
        var body = "id,card,merchant,category,amount,paid_at,place\n" + row + row;
        var outcome = await node.TryContributeAsync(await NewAsync(node), new MemoryStream(System.Text.Encoding.UTF8.GetBytes(body)), "text/csv");
        return outcome.Ok
            ? "The primary key is declared but not checked by this version of ours; PostgreSQL checks its own."
            : $"Both check the primary key (the same key twice is refused here: {outcome.Problem.Code}).";
    }

    private static Task<Dataset> NewAsync(BenchNode node) => node.DefinePaymentsAsync(Text.Invariant($"payments-{Interlocked.Increment(ref _datasets)}"));

    private static Task<double> RawAsync(Bench bench, Duck duck, string select)
    {
        var path = bench.File("raw.parquet");
        File.Delete(path);
        return Clock.TimeAsync(() => duck.CopyDurably(select, path));
    }

    /// <summary>Both sides on a smaller file, until what is compiled as it runs has been, so that nobody's first run is measured.</summary>
    private static async Task WarmAsync(Bench bench, BenchNode node, Duck duck)
    {
        var path = bench.File("warm.csv");
        using (var file = File.Create(path))
            PaymentsGenerator.WriteCsv(file, 200_000, Payments.Seed);
        for (var i = 0; i < WarmRuns; i++)
        {
            await OursAsync(node, path, "text/csv", 200_000);
            await RawAsync(bench, duck, Payments.ReadCsv(path));
        }
    }
}
