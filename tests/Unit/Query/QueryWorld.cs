using System.Globalization;
using System.Text;
using System.Text.Json;
using Gongzhi.Core;
using Gongzhi.Core.Catalog;
using Gongzhi.Core.Policy;
using Gongzhi.Core.Query;
using Gongzhi.Core.Records;
using Gongzhi.Core.Territory;
using Xunit;

namespace Gongzhi.Tests.Unit.Query;

/// <summary>A row as the tests know it; null where it has no value.</summary>
internal sealed record Person(int Batch, int Ordinal, string? Name, string? Phone, string? Place, DateOnly? Day, DateTime At, decimal? Amount, long? N, double? X, bool? Ok, long? Month)
{
    public string Id => $"{Batch:x8}-0000-0000-0000-0000{Ordinal + 1:x8}";
}

/// <summary>A DuckDB over real segments, a tail and replaced rows in a directory of its own.</summary>
internal sealed class QueryWorld : IDisposable
{
    public static readonly Dataset People = new()
    {
        Id = "people",
        Version = 2,
        Number = 1,
        Owner = "unit",
        TimeField = "at",
        PlaceField = "place",
        Fields =
        [
            new() { Name = "name", Type = FieldType.String },
            new() { Name = "phone", Type = FieldType.String },
            new() { Name = "place", Type = FieldType.Place },
            new() { Name = "day", Type = FieldType.Date },
            new() { Name = "at", Type = FieldType.DateTime },
            new() { Name = "amount", Type = FieldType.Decimal, Scale = 2 },
            new() { Name = "n", Type = FieldType.Integer },
            new() { Name = "x", Type = FieldType.Double },
            new() { Name = "ok", Type = FieldType.Boolean },
            new() { Name = "mon\"th", Type = FieldType.YearMonth },
        ],
    };

    public static readonly byte[] CursorKey = [.. Enumerable.Range(1, 32).Select(i => (byte)i)];
    public static readonly byte[] PseudonymKey = [.. Enumerable.Range(100, 32).Select(i => (byte)i)];
    private readonly string _root = Directory.CreateTempSubdirectory("gongzhi-query-").FullName;

    public string TempDirectory => Path.Combine(_root, "tmp");

    public QueryWorld(IReadOnlyList<Person> people, int segments = 3, bool replaced = true, Func<DuckEngineOptions, DuckEngineOptions>? limits = null)
    {
        var directory = Path.Combine(_root, "segments");
        var options = new DuckEngineOptions { SegmentsDirectory = directory, TempDirectory = TempDirectory, MemoryMegabytes = 512, Threads = 2 };
        Engine = new DuckEngine(limits?.Invoke(options) ?? options, TimeProvider.System);
        Engine.Execute("CREATE TABLE everyone (_batch BLOB, _ordinal INTEGER, _time TIMESTAMP, _place VARCHAR, name VARCHAR, phone VARCHAR, place VARCHAR, "
            + "\"day\" DATE, \"at\" TIMESTAMP, amount DECIMAL(18,2), n BIGINT, x DOUBLE, ok BOOLEAN, \"mon\"\"th\" BIGINT)");
        using (var appender = Engine.OpenAppender("everyone"))
        {
            foreach (var p in people)
            {
                var batch = new byte[16];
                System.Buffers.Binary.BinaryPrimitives.WriteInt32BigEndian(batch, p.Batch);
                appender.Rows.CreateRow().AppendValue(batch).AppendValue((int?)p.Ordinal).AppendValue((DateTime?)p.At).AppendValue(p.Place).AppendValue(p.Name).AppendValue(p.Phone)
                    .AppendValue(p.Place).AppendValue((DuckDB.NET.Native.DuckDBDateOnly?)p.Day).AppendValue((DateTime?)p.At).AppendValue(p.Amount).AppendValue(p.N).AppendValue(p.X)
                    .AppendValue(p.Ok).AppendValue(p.Month).EndRow();
            }
        }
        // Every seventh row was replaced; the last part of the rows is still in the tail.
        Rows = people.Where((_, i) => !replaced || i % 7 != 3).ToList();
        Engine.Execute("CREATE TABLE gone (_batch BLOB, _ordinal INTEGER)");
        using (var appender = Engine.OpenAppender("gone"))
        {
            foreach (var p in people.Where((_, i) => replaced && i % 7 == 3))
            {
                var batch = new byte[16];
                System.Buffers.Binary.BinaryPrimitives.WriteInt32BigEndian(batch, p.Batch);
                appender.Rows.CreateRow().AppendValue(batch).AppendValue((int?)p.Ordinal).EndRow();
            }
        }
        var list = new List<Segment>();
        var share = people.Count / (segments + 1);
        for (var s = 0; s < segments; s++)
        {
            var part = people.Skip(s * share).Take(share).ToList();
            if (part.Count == 0)
                continue;
            var path = Path.Combine(directory, $"{s}.parquet");
            Engine.Execute($"COPY (SELECT * FROM everyone LIMIT {share} OFFSET {s * share}) TO '{path}' (FORMAT parquet)");
            list.Add(new()
            {
                Number = s, Path = path, SchemaVersion = 2, Rows = part.Count, Bytes = new FileInfo(path).Length, HasReplaced = replaced,
                TimeMin = part.Min(p => Micros(p.At)), TimeMax = part.Max(p => Micros(p.At)),
                PlaceMin = part.Exists(p => p.Place is null) ? null : part.Select(p => p.Place).Min(StringComparer.Ordinal),
                PlaceMax = part.Exists(p => p.Place is null) ? null : part.Select(p => p.Place).Max(StringComparer.Ordinal),
            });
        }
        Engine.Execute($"CREATE TABLE tail AS SELECT * FROM everyone OFFSET {share * segments}");
        Snapshot = new RecordSnapshot(People, list, "tail", replaced ? "gone" : null, 17);
    }

    public DuckEngine Engine { get; }
    public RecordSnapshot Snapshot { get; }
    public List<Person> Rows { get; }
    public string Root => _root;

    public static long Micros(DateTime at) => (at.Ticks - DateTime.UnixEpoch.Ticks) / 10;

    public static IReadOnlyList<PlaceRange> Within(string code) => code.All(char.IsAsciiDigit) ? [new(code, code + ":")] : [];

    public static ReadPermit Permit(params (string Field, FieldTransform How)[] changes)
    {
        var fields = People.Fields.ToDictionary(f => f.Name, _ => FieldTransform.Plain);
        foreach (var (field, how) in changes)
            fields[field] = how;
        return new() { Grant = "grant-1", Dataset = "people", Purpose = "audit", Fields = fields, PseudonymKey = PseudonymKey };
    }

    public static Result<QueryRequest> Ask(string json, QueryFormat format = QueryFormat.Json)
    {
        using var document = JsonDocument.Parse("{\"dataset\":\"people\",\"purpose\":\"audit\"" + (json.Length > 2 ? "," : "") + json[1..]);
        return QueryRequest.Parse(document.RootElement.Clone(), format);
    }

    public Result<CompiledQuery> Compile(string json, ReadPermit permit, QueryFormat format = QueryFormat.Json)
    {
        var request = Ask(json, format);
        return request.Ok ? QueryCompiler.Compile(request.Value, permit, Snapshot, Within, CursorKey) : request.Problem;
    }

    public async Task<string> Write(string json, ReadPermit permit, QueryFormat format = QueryFormat.Json, bool forSpreadsheet = false) =>
        Encoding.UTF8.GetString(await Bytes(json, permit, format, forSpreadsheet));

    public async Task<byte[]> Bytes(string json, ReadPermit permit, QueryFormat format, bool forSpreadsheet = false)
    {
        var compiled = Compile(json, permit, format);
        Assert.True(compiled.Ok, compiled.Problem?.Detail);
        var run = await Engine.RunAsync(compiled.Value!, TestContext.Current.CancellationToken);
        Assert.True(run.Ok, run.Problem?.Detail);
        using var reader = run.Value!;
        using var output = new MemoryStream();
        await QueryWriter.WriteAsync(reader, output, format, "access-1", forSpreadsheet, TestContext.Current.CancellationToken);
        return output.ToArray();
    }

    /// <summary>Rows of the JSON answer, each as the JSON text of its values.</summary>
    public async Task<(List<string> Rows, string? Next)> Read(string json, ReadPermit permit)
    {
        using var answer = JsonDocument.Parse(await Write(json, permit));
        return ([.. answer.RootElement.GetProperty("rows").EnumerateArray().Select(r => r.GetRawText())], answer.RootElement.GetProperty("next").GetString());
    }

    public static List<Person> Some(int count, int seed)
    {
        var random = new Random(seed);
        string?[] names = ["王小明", "李", "Zhang San", "José Pérez", "", "欧阳娜娜", "O'Brien\"x", "=1+1", null, "a,b\r\nc"];
        string?[] places = ["12", "1201", "120101", "120101001", "120101001002", "120102", "13", "130102", null];
        var people = new List<Person>();
        for (var i = 0; i < count; i++)
        {
            var at = new DateTime(2010, 1, 1, 0, 0, 0, DateTimeKind.Unspecified).AddMinutes((i * 37L) + random.Next(30)).AddMicroseconds(random.Next(2) * random.Next(1_000_000));
            people.Add(new(1 + (i / 50), i % 50, names[random.Next(names.Length)], random.Next(8) == 0 ? null : random.Next(3) == 0 ? "12345" : "138" + random.Next(100).ToString("D8", CultureInfo.InvariantCulture),
                places[random.Next(places.Length)], random.Next(9) == 0 ? null : new DateOnly(2010, 1, 1).AddDays(random.Next(90)), at,
                random.Next(9) == 0 ? null : (random.Next(-20_000, 20_000) / 100m), random.Next(9) == 0 ? null : random.Next(-30, 30), random.Next(9) == 0 ? null : random.Next(-8, 8) / 4.0,
                random.Next(5) == 0 ? null : random.Next(2) == 0, random.Next(5) == 0 ? null : (2010 * 12) + random.Next(14)));
        }
        return people;
    }

    public void Dispose()
    {
        Engine.Dispose();
        Directory.Delete(_root, recursive: true);
    }
}
