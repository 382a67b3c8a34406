namespace Gongzhi.Perf.Figures;

/// <summary>P2: governed readings of ten million rows, beside the same SELECT without policy on the same files, and PostgreSQL with row-level security.</summary>
internal static class P2Query
{
    private const int Rows = 10_000_000, RowsQuick = 400_000, Parts = 50;

    public static async Task<Section> RawAsync(Bench bench)
    {
        await using var world = await P2World.MakeAsync(bench, bench.Rows(Rows, RowsQuick), Parts);
        var lines = new List<Line>();
        foreach (var question in P2Questions.All)
            lines.Add(await AgainstAsync(bench, question, question.What, () => world.AskAsync(question), () => world.RawAsync(question), question.Goal));
        var (table, rows) = world.Replace();
        foreach (var question in (P2Question[])[P2Questions.Scan, P2Questions.Grouped])
        {
            lines.Add(await AgainstAsync(bench, question with { Id = "P2c" }, question.What + ", 1 % of the rows replaced", () => world.AskAsync(question, world.Segments, table), () => world.RawAsync(question, rows), 0.6));
        }
        var growth = await GrowthAsync(world);
        return new("P2-raw", "governed queries against the same SELECT without policy",
            [.. lines.OrderBy(l => l.Id, StringComparer.Ordinal), .. growth],
            [
                Text.Invariant($"{Text.Count(world.Rows)} rows in {world.Segments} segments and a tail of 2,000. Every answer is read to its end and written as Arrow to nowhere, by both. Ours also decides, compiles and commits the access."),
                "In c the replaced rows are joined away by batch and ordinal; the peer leaves the same rows out by a condition on the id, which costs it next to nothing.",
            ]);
    }

    public static async Task<Section> PostgresAsync(Bench bench)
    {
        var rows = bench.Rows(Rows, RowsQuick);
        await using var world = await P2World.MakeAsync(bench, rows, Parts);
        var postgres = await LoadAsync(bench, world.Csv);
        var lines = new List<Line>();
        foreach (var question in (P2Question[])[P2Questions.Scan, P2Questions.Grouped])
        {
            var answer = await world.AskAsync(question);
            lines.Add(await AgainstPostgresAsync(bench, postgres, question, $"{question.What}, against PostgreSQL, {Text.Count(answer)} rows out", () => Clock.TimeAsync(() => world.AskAsync(question))));
        }
        return new("P2-postgres", "governed queries against row-level security and a masking view", lines, [Text.Invariant($"{Text.Count(rows)} rows; ") + PostgresIs, "PostgreSQL: " + Postgres.Settings]);
    }

    public const string PostgresIs = "PostgreSQL has a key on id, an index on place and a BRIN index on the time, was analysed after loading and answered once before it was measured. Its rows leave by binary COPY, its cheapest way out, and are thrown away.";

    /// <summary>The rows of a file as a table with row-level security, under a view that masks.</summary>
    public static async Task<Postgres> LoadAsync(Bench bench, string csv)
    {
        var postgres = await bench.PostgresAsync();
        Bench.Say("P2: loading PostgreSQL");
        await Payments.MakeTableAsync(postgres, "payments", audit: false);
        await Payments.CopyAsync(postgres, "payments", csv);
        foreach (var sql in Policies)
            await postgres.ExecuteAsync(sql);
        return postgres;
    }

    /// <param name="bench">How often each is asked.</param>
    /// <param name="postgres">Loaded by <see cref="LoadAsync"/>.</param>
    /// <param name="question">What is asked.</param>
    /// <param name="what">Words of the line.</param>
    /// <param name="ours">Asks once; answers the seconds for one answer.</param>
    /// <param name="sessions">How many ask PostgreSQL at once.</param>
    public static async Task<Line> AgainstPostgresAsync(Bench bench, Postgres postgres, P2Question question, string what, Func<Task<double>> ours, int sessions = 1)
    {
        Bench.Say($"{question.Id} {what}");
        await ours();
        await DrainAsync(postgres, question.Postgres!);
        var (mine, theirs) = (new Times(), new Times());
        for (var round = 0; round < bench.Repetitions; round++)
        {
            mine.Add(await ours());
            theirs.Add(await Clock.TimeAsync(() => Task.WhenAll(Enumerable.Range(0, sessions).Select(_ => DrainAsync(postgres, question.Postgres!)))) / sessions);
        }
        var ratio = theirs.Median / mine.Median;
        return new(question.Id, what, mine.ToString(), theirs.ToString(), Text.Ratio(ratio), "≥ 20×", ratio >= 20);
    }

    /// <summary>The reader may see the view alone; the view's owner may read the rows that the policy lets through.</summary>
    private static readonly string[] Policies =
    [
        "CREATE INDEX ON payments (place)",
        "CREATE INDEX ON payments USING brin (paid_at)",
        "CREATE ROLE masker",
        "CREATE ROLE analyst",
        "GRANT SELECT ON payments TO masker",
        "ALTER TABLE payments ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY district ON payments FOR SELECT TO masker USING (place >= '990101' AND place < '990102')",
        """
        CREATE VIEW masked WITH (security_barrier) AS SELECT paid_at, place, category, amount,
            CASE WHEN length(merchant) < 2 THEN '***' ELSE left(merchant, 1) || '**' END AS merchant,
            CASE WHEN length(card) >= 12 THEN '****' || right(card, 4) WHEN card IS NOT NULL THEN '***' END AS card FROM payments
        """,
        "ALTER VIEW masked OWNER TO masker",
        "GRANT SELECT ON masked TO analyst",
        "VACUUM ANALYZE payments",
        "CHECKPOINT",
    ];

    public static async Task<Line> AgainstAsync(Bench bench, P2Question question, string what, Func<Task<long>> ours, Func<Task<long>> raw, double goal)
    {
        Bench.Say($"{question.Id} {what}");
        // Once each unmeasured: files in the cache, footers read, plans known.
        var (answer, other) = (await ours(), await raw());
        if (answer != other && question.Id != "P2e")
            throw new InvalidOperationException($"{question.Id}: {answer} rows against {other}.");
        var (mine, theirs) = (new Times(), new Times());
        for (var round = 0; round < bench.Repetitions + 2; round++)
        {
            mine.Add(await Clock.TimeAsync(ours));
            theirs.Add(await Clock.TimeAsync(raw));
        }
        var ratio = theirs.Median / mine.Median;
        return new(question.Id, $"{what}, {Text.Count(answer)} rows out", mine.ToString(), theirs.ToString(), Text.Percent(ratio), "≥ " + Text.Percent(goal), ratio >= goal);
    }

    private static async Task<Line[]> GrowthAsync(P2World world)
    {
        var lines = new List<Line>();
        foreach (var question in (P2Question[])[P2Questions.Scan, P2Questions.Grouped])
        {
            var (ours, raw) = (new List<(double, double)>(), new List<(double, double)>());
            int[] sizes = [world.Segments / 16, world.Segments / 4, world.Segments / 16 * 16];
            foreach (var segments in sizes)
            {
                var (mine, theirs) = (new Times(), new Times());
                for (var round = 0; round < 3; round++)
                {
                    mine.Add(await Clock.TimeAsync(() => world.AskAsync(question, segments)));
                    theirs.Add(await Clock.TimeAsync(() => world.RawAsync(question, world.RawRows(segments))));
                }
                ours.Add((segments, mine.Median));
                raw.Add((segments, theirs.Median));
            }
            var exponent = Growth.Exponent([.. ours]);
            lines.Add(new(question.Id, Text.Invariant($"growth exponent over {string.Join(", ", sizes)} segments"), Text.Invariant($"{exponent:0.00}"), Text.Invariant($"{Growth.Exponent([.. raw]):0.00}"), "", "≤ 1.1", exponent <= 1.1));
        }
        return [.. lines];
    }

    private static async Task<long> DrainAsync(Postgres postgres, string select)
    {
        await using var connection = await postgres.Source.OpenConnectionAsync();
        await using (var role = new Npgsql.NpgsqlCommand("SET ROLE analyst", connection))
            await role.ExecuteNonQueryAsync();
        await using var stream = await connection.BeginRawBinaryCopyAsync($"COPY ({select}) TO STDOUT (FORMAT binary)");
        var buffer = new byte[1 << 16];
        long total = 0;
        for (int n; (n = await stream.ReadAsync(buffer, CancellationToken.None)) > 0;)
            total += n;
        return total;
    }
}
