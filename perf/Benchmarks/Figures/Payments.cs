using Gongzhi.SampleCity;

namespace Gongzhi.Perf.Figures;

/// <summary>The rows that P1 and P2 work on, as files and as a table of PostgreSQL.</summary>
internal static class Payments
{
    public const ulong Seed = 1;

    /// <summary>The columns as DuckDB should read them from text, so that it need not guess.</summary>
    public const string DuckColumns = "{id: 'BIGINT', card: 'VARCHAR', merchant: 'VARCHAR', category: 'VARCHAR', amount: 'DECIMAL(18,2)', paid_at: 'TIMESTAMPTZ', place: 'VARCHAR'}";

    /// <summary>The same key, types, patterns, ranges and code list as the dataset has; a place need only look like one, which costs less than looking it up.</summary>
    private static string Columns => $"""
        (id bigint PRIMARY KEY CHECK (id >= 1),
         card text NOT NULL CHECK (card ~ '^9901[0-9]{"{12}"}$'),
         merchant text NOT NULL CHECK (length(merchant) <= 60),
         category text NOT NULL CHECK (category IN ({string.Join(", ", PaymentsGenerator.CategoryCodes.Codes.Select(c => $"'{c.Code}'"))})),
         amount numeric(18,2) NOT NULL CHECK (amount >= 0),
         paid_at timestamptz NOT NULL,
         place text NOT NULL CHECK (place ~ '^[0-9]{"{12}"}$'))
        """;

    public static string Csv(Bench bench, int rows)
    {
        var path = bench.File(Text.Invariant($"payments-{rows}.csv"));
        if (!File.Exists(path))
        {
            using var file = File.Create(path);
            PaymentsGenerator.WriteCsv(file, rows, Seed);
        }
        return path;
    }

    public static string ReadCsv(string path) => $"SELECT * FROM read_csv('{path}', header = true, columns = {DuckColumns})";

    public static async Task MakeTableAsync(Postgres postgres, string name, bool audit)
    {
        await postgres.ExecuteAsync($"CREATE TABLE {name} {Columns}");
        if (!audit)
            return;
        await postgres.ExecuteAsync($$"""
            CREATE TABLE {{name}}_audit (number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at timestamptz NOT NULL, who text NOT NULL, what text NOT NULL, content jsonb NOT NULL, hash bytea NOT NULL);
            CREATE FUNCTION {{name}}_note() RETURNS trigger LANGUAGE plpgsql AS $body$
            DECLARE content jsonb := to_jsonb(new);
            BEGIN
                INSERT INTO {{name}}_audit (at, who, what, content, hash) VALUES (now(), current_user, TG_OP, content, sha256(convert_to(content::text, 'UTF8')));
                RETURN NULL;
            END $body$;
            CREATE TRIGGER {{name}}_audited AFTER INSERT ON {{name}} FOR EACH ROW EXECUTE FUNCTION {{name}}_note();
            """);
    }

    /// <summary>COPY of a file that the server reads itself, into the emptied table; answers the seconds.</summary>
    public static Task<double> CopyAsync(Postgres postgres, string table, string path) => CopyAsync(postgres, [table], path);

    /// <summary>Likewise into several tables at once; answers the seconds for one.</summary>
    public static async Task<double> CopyAsync(Postgres postgres, IReadOnlyList<string> tables, string path)
    {
        foreach (var table in tables)
            await EmptyAsync(postgres, table);
        await postgres.ExecuteAsync("CHECKPOINT");
        return await Clock.TimeAsync(() => Task.WhenAll(tables.Select(table => postgres.ExecuteAsync($"COPY {table} FROM '{path}' (FORMAT csv, HEADER)")))) / tables.Count;
    }

    private static async Task EmptyAsync(Postgres postgres, string table)
    {
        await postgres.ExecuteAsync($"TRUNCATE {table}");
        if (table.Contains("audit", StringComparison.Ordinal))
            await postgres.ExecuteAsync($"TRUNCATE {table}_audit");
    }
}
