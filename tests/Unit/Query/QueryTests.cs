using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Apache.Arrow;
using Gongzhi.Core.Policy;
using Gongzhi.Core.Query;
using Xunit;

namespace Gongzhi.Tests.Unit.Query;

public sealed class QueryTests : IDisposable
{
    private readonly QueryWorld _world = new(QueryWorld.Some(400, 7));

    public void Dispose() => _world.Dispose();

    private static string Pseudonym(string value) =>
        Convert.ToHexStringLower(SHA256.HashData([.. QueryWorld.PseudonymKey, .. Encoding.UTF8.GetBytes(value)]))[..32];

    private string Code(string json, ReadPermit permit) => _world.Compile(json, permit).Problem!.Code;

    [Fact]
    public async Task A_row_query_answers_in_the_agreed_shape()
    {
        var answer = await _world.Write("""{"fields":["_id","day","amount"],"filter":{"field":"amount","op":"ge","value":100},"limit":2}""", QueryWorld.Permit());
        using var json = JsonDocument.Parse(answer);
        var expected = _world.Rows.Where(p => p.Amount >= 100).Take(2).ToList();
        Assert.Equal("""[{"name":"_id","type":"string"},{"name":"day","type":"date"},{"name":"amount","type":"number"}]""", json.RootElement.GetProperty("columns").GetRawText());
        Assert.Equal(expected[0].Id, json.RootElement.GetProperty("rows")[0][0].GetString());
        Assert.Equal(expected[1].Amount, json.RootElement.GetProperty("rows")[1][2].GetDecimal());
        Assert.Equal("access-1", json.RootElement.GetProperty("access").GetString());
        Assert.Equal("grant-1", json.RootElement.GetProperty("grant").GetString());
        Assert.NotNull(json.RootElement.GetProperty("next").GetString());
    }

    [Fact]
    public async Task Masks_hide_what_they_say()
    {
        var rows = (await _world.Read("""{"fields":["name","phone"],"limit":10000}""",
            QueryWorld.Permit(("name", new(TransformKind.Mask, "name")), ("phone", new(TransformKind.Mask, "phone"))))).Rows;
        var names = rows.Select(r => JsonSerializer.Deserialize<string?[]>(r)!).ToList();
        Assert.Equal(["***", "=**", "J**", "O**", "Z**", "a**", "欧**", "王**"], names.Select(r => r[0]).Where(n => n is not null).Distinct().Order(StringComparer.Ordinal));
        Assert.All(names.Where(r => r[1] is not null), r => Assert.Matches(@"^(138\*{4}\d{4}|\*\*\*)$", r[1]));
    }

    [Theory]
    [InlineData("identity-number", "1234**************")]
    [InlineData("card", "***")]
    [InlineData("all", "***")]
    [InlineData("not a mask", "***")]
    public async Task Other_masks_show_at_most_their_ends(string mask, string shown)
    {
        using var world = new QueryWorld([.. QueryWorld.Some(8, 1).Select(p => p with { Phone = mask == "identity-number" ? "120101199001011234"[..18] : "12345" })], 1, replaced: false);
        var rows = (await world.Read("""{"fields":["phone"]}""", QueryWorld.Permit(("phone", new(TransformKind.Mask, mask))))).Rows;
        Assert.All(rows, r => Assert.Equal(mask == "identity-number" ? """["120101***********4"]""" : $"[\"{shown}\"]", r));
    }

    [Fact]
    public async Task A_filter_on_a_masked_field_sees_the_mask_only()
    {
        var permit = QueryWorld.Permit(("phone", new(TransformKind.Mask, "phone")), ("amount", new(TransformKind.Generalise, "50")), ("day", new(TransformKind.Generalise, "month")));
        var secret = _world.Rows.First(p => p.Phone?.Length == 11).Phone!;
        Assert.Empty((await _world.Read($$$"""{"filter":{"field":"phone","op":"eq","value":"{{{secret}}}"}}""", permit)).Rows);
        Assert.Empty((await _world.Read($$$"""{"filter":{"field":"phone","op":"startsWith","value":"{{{secret[..5]}}}"}}""", permit)).Rows);
        Assert.NotEmpty((await _world.Read($$$"""{"filter":{"field":"phone","op":"eq","value":"138****{{{secret[7..]}}}"}}""", permit)).Rows);
        var amounts = (await _world.Read("""{"fields":["amount"],"filter":{"field":"amount","op":"gt","value":0}}""", permit)).Rows;
        Assert.All(amounts, a => Assert.Contains(a, new[] { "[50.00]", "[100.00]", "[150.00]" }));
        Assert.Empty((await _world.Read("""{"filter":{"field":"day","op":"eq","value":"2010-01-02"}}""", permit)).Rows);
    }

    [Fact]
    public async Task Pseudonyms_are_the_keyed_hash_wherever_they_are_made()
    {
        var permit = QueryWorld.Permit(("name", new(TransformKind.Pseudonym)));
        var expected = _world.Rows.Where(p => p.Name is not null).GroupBy(p => Pseudonym(p.Name!)).ToDictionary(g => g.Key, g => g.Count());
        var rows = (await _world.Read("""{"groupBy":["name"],"measures":[{"name":"c","function":"count"}],"orderBy":["name"]}""", permit)).Rows;
        Assert.Equal(expected.OrderBy(e => e.Key, StringComparer.Ordinal).Select(e => $"[\"{e.Key}\",{e.Value}]"), rows.SkipLast(1));
        var one = Pseudonym("王小明");
        Assert.Equal(_world.Rows.Count(p => p.Name == "王小明"), (await _world.Read($$$"""{"fields":["name"],"filter":{"field":"name","op":"in","value":["{{{one}}}"]}}""", permit)).Rows.Count(r => r == $"[\"{one}\"]"));
        Assert.Empty((await _world.Read("""{"filter":{"field":"name","op":"eq","value":"王小明"}}""", permit)).Rows);
        Assert.Equal("query.operator", Code("""{"filter":{"field":"name","op":"gt","value":"a"}}""", permit));
        Assert.Equal("query.measure", Code("""{"measures":[{"function":"min","field":"name"}]}""", permit));
        Assert.DoesNotContain(Convert.ToHexStringLower(QueryWorld.PseudonymKey), _world.Compile("""{"fields":["name"]}""", permit).Value!.Sql);
    }

    [Fact]
    public async Task Places_and_numbers_are_made_coarser()
    {
        var permit = QueryWorld.Permit(("place", new(TransformKind.Generalise, "prefecture")), ("n", new(TransformKind.Generalise, "10")), ("x", new(TransformKind.Generalise, "0.5")), ("at", new(TransformKind.Generalise, "year")));
        var rows = (await _world.Read("""{"fields":["place","n","x","at","mon\"th"],"limit":10000}""", permit)).Rows;
        var expected = _world.Rows.Select(p => JsonSerializer.Serialize(new object?[] { p.Place is { Length: > 4 } l ? l[..4] : p.Place, p.N is { } n ? (long)Math.Floor(n / 10.0) * 10 : null,
            p.X is { } x ? Math.Floor(x / 0.5) * 0.5 : null, "2010-01-01", p.Month is { } m ? $"{m / 12:D4}-{(m % 12) + 1:D2}" : null }));
        Assert.Equal(expected.Order(StringComparer.Ordinal), rows.Order(StringComparer.Ordinal));
        Assert.Equal("query.unknownField", Code("""{"fields":["_time"]}""", permit));
        Assert.Equal("query.unknownField", Code("""{"filter":{"field":"_place","op":"within","value":"120101"}}""", permit));
    }

    [Fact]
    public void A_field_outside_the_permit_is_answered_like_one_that_is_not_there()
    {
        var permit = QueryWorld.Permit();
        permit = permit with { Fields = permit.Fields.Where(f => f.Key != "phone").ToDictionary() };
        string[] questions = ["""{"fields":["#"]}""", """{"filter":{"field":"#","op":"isNull"}}""", """{"groupBy":["#"]}""", """{"measures":[{"name":"m","function":"sum","field":"#"}]}"""];
        foreach (var question in questions)
        {
            var hidden = _world.Compile(question.Replace("#", "phone", StringComparison.Ordinal), permit).Problem;
            var absent = _world.Compile(question.Replace("#", "nothing", StringComparison.Ordinal), permit).Problem;
            Assert.Equal("query.unknownField", hidden!.Code);
            Assert.Equal((hidden.Code, hidden.Status, hidden.Detail), (absent!.Code, absent.Status, absent.Detail));
        }
    }

    [Fact]
    public async Task Small_groups_are_withheld_and_rows_refused()
    {
        var permit = QueryWorld.Permit(("amount", new(TransformKind.AggregateOnly))) with { MinimumGroup = 45 };
        Assert.Equal("query.aggregateOnly", Code("""{"fields":["n"]}""", permit));
        Assert.Equal("query.aggregateOnly", Code("""{"filter":{"field":"amount","op":"gt","value":1},"measures":[{"function":"count"}]}""", permit));
        Assert.Equal("query.aggregateOnly", Code("""{"groupBy":["amount"]}""", permit));
        Assert.Equal("query.aggregateOnly", Code("""{"measures":[{"function":"max","field":"amount"}]}""", permit));
        var rows = (await _world.Read("""{"groupBy":["place"],"measures":[{"name":"c","function":"count"},{"name":"s","function":"sum","field":"amount"}],"orderBy":["place"]}""", permit)).Rows;
        var groups = _world.Rows.GroupBy(p => p.Place).ToList();
        Assert.Equal(groups.Count(g => g.Count() >= 45), rows.Count);
        Assert.True(rows.Count < groups.Count);
        Assert.All(rows, r => Assert.True(JsonDocument.Parse(r).RootElement[1].GetInt32() >= 45));
        Assert.Empty((await _world.Read("""{"filter":{"field":"n","op":"eq","value":7},"measures":[{"name":"c","function":"count"}]}""", permit)).Rows);
        Assert.Equal("query.aggregateOnly", Code("""{"fields":["amount"]}""", permit with { MinimumGroup = 0 }));
    }

    [Fact]
    public async Task An_aggregate_of_few_values_among_many_rows_is_withheld()
    {
        using var world = new QueryWorld([.. QueryWorld.Some(100, 3).Select((p, i) => p with { Amount = i == 50 ? 77m : null })], replaced: false);
        var rows = (await world.Read("""{"measures":[{"name":"s","function":"sum","field":"amount"},{"name":"c","function":"count"}]}""", QueryWorld.Permit(("amount", new(TransformKind.AggregateOnly))))).Rows;
        Assert.Equal(["[null,100]"], rows);
    }

    [Theory]
    [InlineData("""{"fields":["n","name"],"orderBy":[{"field":"name"},{"field":"n","desc":true}],"limit":7}""")]
    [InlineData("""{"fields":["x","n"],"orderBy":[{"field":"x","desc":true}],"limit":7}""")]
    [InlineData("""{"fields":["name","at","mon\"th","amount"],"orderBy":["mon\"th",{"field":"amount","desc":true}],"limit":7}""")]
    [InlineData("""{"limit":7}""")]
    [InlineData("""{"groupBy":["place","day",{"field":"at","unit":"hour"}],"measures":[{"name":"t","function":"sum","field":"n"},{"name":"a","function":"avg","field":"x"}],"orderBy":[{"field":"t","desc":true},"a"],"limit":7}""")]
    [InlineData("""{"groupBy":["phone"],"measures":[{"name":"t","function":"sum","field":"amount"}],"orderBy":[{"field":"t"}],"limit":7}""")]
    public async Task Pages_cover_each_row_once_in_order(string question)
    {
        foreach (var permit in (ReadPermit[])[QueryWorld.Permit(("phone", new(TransformKind.Pseudonym))), QueryWorld.Permit()])
            await PagesAsync(question, permit);
    }

    private async Task PagesAsync(string question, ReadPermit permit)
    {
        var whole = (await _world.Read(question.Replace("\"limit\":7", "\"limit\":10000", StringComparison.Ordinal), permit)).Rows;
        var pages = new List<string>();
        string? next = null;
        do
        {
            var page = await _world.Read(next is null ? question : question[..^1] + $",\"cursor\":\"{next}\"}}", permit);
            pages.AddRange(page.Rows);
            next = page.Next;
        }
        while (next is not null);
        Assert.Equal(whole, pages);
        Assert.True(whole.Count > 20);
    }

    [Theory]
    [InlineData(TransformKind.Pseudonym, null)]
    [InlineData(TransformKind.Mask, "all")]
    public void A_grant_that_disguises_a_field_shows_no_record_ids(TransformKind kind, string? argument)
    {
        var permit = QueryWorld.Permit(("name", new(kind, argument)));
        foreach (var question in (string[])["""{"fields":["_id"]}""", """{"fields":["n"],"orderBy":["_id"]}""", """{"fields":["n"],"filter":{"field":"_id","op":"isNull","value":false}}""", """{"groupBy":["_id"]}"""])
            Assert.StartsWith("query.", Code(question, permit), StringComparison.Ordinal);
        Assert.Equal("query.unknownField", Code("""{"fields":["_id"]}""", permit));
    }

    [Fact]
    public async Task Groups_of_a_pseudonym_come_in_the_order_of_what_is_shown()
    {
        var permit = QueryWorld.Permit(("name", new(TransformKind.Pseudonym, null)));
        foreach (var format in (QueryFormat[])[QueryFormat.Csv, QueryFormat.Ndjson])
        {
            var rows = (await _world.Write("""{"groupBy":["name"],"measures":[{"name":"c","function":"count"}]}""", permit, format))
                .Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(l => System.Text.RegularExpressions.Regex.Match(l, "[0-9a-f]{32}").Value).Where(n => n.Length > 0).ToList();
            Assert.True(rows.Count > 3);
            Assert.Equal(rows.Order(StringComparer.Ordinal), rows);
        }
    }

    [Fact]
    public async Task Two_grants_with_pseudonyms_cannot_be_laid_side_by_side()
    {
        var one = QueryWorld.Permit(("name", new(TransformKind.Pseudonym, null)));
        var two = one with { Grant = "grant-2", PseudonymKey = SHA256.HashData("another"u8) };
        // A column that tells each row stands for what either would give away: in no format does its order tell which record it is.
        foreach (var format in (QueryFormat[])[QueryFormat.Json, QueryFormat.Csv, QueryFormat.Ndjson])
        {
            var (first, again, second, plain) = (await AtAsync(one, format), await AtAsync(one, format), await AtAsync(two, format), await AtAsync(QueryWorld.Permit(), format));
            Assert.Equal(first, again);
            Assert.Equal(plain.Order(), first.Order());
            Assert.Equal(plain.Order(), second.Order());
            foreach (var (left, right) in ((List<string>, List<string>)[])[(first, second), (first, plain), (second, plain)])
                Assert.True(left.Zip(right).Count(p => p.First == p.Second) < plain.Count / 10);
        }
        Assert.Equal("query.grant", Code("""{"fields":["n"]}""", one with { PseudonymKey = default }));

        async Task<List<string>> AtAsync(ReadPermit permit, QueryFormat format)
        {
            if (format == QueryFormat.Json)
                return (await _world.Read("""{"fields":["at"],"limit":10000}""", permit)).Rows;
            return [.. (await _world.Write("""{"fields":["at"]}""", permit, format)).Split('\n', StringSplitOptions.RemoveEmptyEntries).Where(l => l.Contains("20", StringComparison.Ordinal))];
        }
    }

    [Fact]
    public async Task A_cursor_shows_nothing_of_the_record_it_stands_at()
    {
        foreach (var permit in (ReadPermit[])[QueryWorld.Permit(("name", new(TransformKind.Mask, "all"))), QueryWorld.Permit()])
        {
            var next = (await _world.Read("""{"fields":["n"],"limit":1}""", permit)).Next!;
            var bytes = System.Buffers.Text.Base64Url.DecodeFromChars(next);
            // The batch's id in hex is mostly noughts here.
            Assert.True(bytes.AsSpan().IndexOf("0000"u8) < 0);
            Assert.NotEqual(next, (await _world.Read("""{"fields":["n"],"limit":1}""", permit)).Next);
        }
    }

    [Fact]
    public async Task A_cursor_is_good_for_its_question_and_grant_only()
    {
        var next = (await _world.Read("""{"fields":["n"],"limit":3}""", QueryWorld.Permit())).Next!;
        Assert.True(_world.Compile($$"""{"fields":["n"],"limit":5,"cursor":"{{next}}"}""", QueryWorld.Permit()).Ok);
        Assert.Equal("query.cursor", Code($$"""{"fields":["x"],"cursor":"{{next}}"}""", QueryWorld.Permit()));
        Assert.Equal("query.cursor", Code($$"""{"fields":["n"],"cursor":"{{next}}"}""", QueryWorld.Permit() with { Grant = "another" }));
        Assert.Equal("query.cursor", Code($$"""{"fields":["n"],"cursor":"{{(next[0] == 'A' ? 'B' : 'A') + next[1..]}}"}""", QueryWorld.Permit()));
        Assert.Equal("query.cursor", Code("""{"fields":["n"],"cursor":"%%"}""", QueryWorld.Permit()));
    }

    [Theory]
    [InlineData("x\\\" FROM everyone; DROP TABLE tail; --")]
    [InlineData("'; DROP TABLE tail; --")]
    [InlineData("$1")]
    [InlineData("*/ SELECT 1 /*")]
    public async Task Hostile_texts_stay_values_and_names(string text)
    {
        var permit = QueryWorld.Permit();
        Assert.Equal("query.unknownField", Code($$"""{"fields":["{{text}}"]}""", permit));
        Assert.Empty((await _world.Read($$$"""{"filter":{"or":[{"field":"name","op":"eq","value":"{{{text}}}"},{"field":"place","op":"within","value":"{{{text}}}"},{"field":"name","op":"contains","value":"{{{text}}}"}]}}""", permit)).Rows);
        var answer = await _world.Write($$$"""{"measures":[{"name":"{{{text}}}","function":"count"}],"orderBy":[{"field":"{{{text}}}"}]}""", permit);
        Assert.Equal(_world.Rows.Count, JsonDocument.Parse(answer).RootElement.GetProperty("rows")[0][0].GetInt32());
        Assert.Equal("query.value", Code($$$"""{"filter":{"field":"n","op":"eq","value":"{{{text}}}"}}""", permit));
    }

    [Theory]
    [InlineData("""{"limit":10001}""", "query.limit")]
    [InlineData("""{"limit":0}""", "query.limit")]
    [InlineData("""{"nonsense":1}""", "query.shape")]
    [InlineData("""{"fields":"n"}""", "query.shape")]
    [InlineData("""{"fields":["n","n"]}""", "query.shape")]
    [InlineData("""{"fields":["\ud800"]}""", "query.shape")]
    [InlineData("""{"measures":[{"function":"median","field":"n"}]}""", "query.shape")]
    [InlineData("""{"filter":{"field":"n","op":"like","value":1}}""", "query.filter")]
    [InlineData("""{"filter":{"and":[]}}""", "query.filter")]
    [InlineData("""{"filter":{"field":"n","op":"in","value":[]}}""", "query.filter")]
    [InlineData("""{"filter":{"field":"n","op":"eq","value":1.5}}""", "query.value")]
    [InlineData("""{"filter":{"field":"n","op":"eq","value":null}}""", "query.value")]
    [InlineData("""{"filter":{"field":"amount","op":"eq","value":1.005}}""", "query.value")]
    [InlineData("""{"filter":{"field":"day","op":"eq","value":"2010-02-30"}}""", "query.value")]
    [InlineData("""{"filter":{"field":"at","op":"eq","value":"2010-02-20T00:00:00"}}""", "query.value")]
    [InlineData("""{"filter":{"field":"n","op":"within","value":"12"}}""", "query.operator")]
    [InlineData("""{"groupBy":[{"field":"n","unit":"month"}]}""", "query.group")]
    [InlineData("""{"measures":[{"function":"sum","field":"name"}]}""", "query.measure")]
    [InlineData("""{"fields":["n"],"orderBy":["x"]}""", "query.order")]
    public void What_does_not_fit_is_refused_by_name(string question, string code) => Assert.Equal(code, Code(question, QueryWorld.Permit()));

    [Fact]
    public void Deep_and_wide_filters_are_refused()
    {
        var deep = string.Concat(Enumerable.Repeat("{\"not\":", 17)) + "{\"field\":\"n\",\"op\":\"isNull\"}" + new string('}', 17);
        var wide = "{\"or\":[" + string.Join(",", Enumerable.Repeat("{\"field\":\"n\",\"op\":\"isNull\"}", 256)) + "]}";
        Assert.Equal("query.filter", Code($"{{\"filter\":{deep}}}", QueryWorld.Permit()));
        Assert.Equal("query.filter", Code($"{{\"filter\":{wide}}}", QueryWorld.Permit()));
        Assert.Equal("query.value", Code($"{{\"filter\":{{\"field\":\"name\",\"op\":\"eq\",\"value\":\"{new string('字', 4000)}\"}}}}", QueryWorld.Permit()));
    }

    [Fact]
    public async Task Rows_outside_the_grant_do_not_exist_and_their_segments_are_not_read()
    {
        var cut = _world.Snapshot.Segments[0].TimeMax + 1;
        var permit = QueryWorld.Permit() with { Rows = new() { TimeFrom = cut, Places = [new("12", "13")], Filter = Condition("""{"field":"n","op":"ge","value":0}""") } };
        var compiled = _world.Compile("""{"fields":["_id"],"limit":10000}""", permit).Value!;
        Assert.Equal(2, compiled.SegmentsRead);
        var expected = _world.Rows.Where(p => QueryWorld.Micros(p.At) >= cut && p.Place?.StartsWith("12", StringComparison.Ordinal) == true && p.N >= 0).Select(p => $"[\"{p.Id}\"]");
        Assert.Equal(expected, (await _world.Read("""{"fields":["_id"],"limit":10000}""", permit)).Rows);
        Assert.Empty((await _world.Read("""{"fields":["_id"]}""", QueryWorld.Permit() with { Rows = new() { Places = [] } })).Rows);
        Assert.Empty((await _world.Read("""{"fields":["_id"]}""", QueryWorld.Permit() with { Rows = new() { Filter = Condition("""{"field":"dropped","op":"isNull"}""") } })).Rows);
    }

    private static Filter Condition(string json) => QueryWorld.Ask($"{{\"filter\":{json}}}").Value!.Filter!;

    [Fact]
    public async Task Csv_keeps_texts_whole_and_spreadsheets_safe()
    {
        var plain = await _world.Write("""{"fields":["name"],"filter":{"or":[{"field":"name","op":"in","value":["=1+1","a,b\r\nc","O'Brien\"x",""]}]},"limit":1000}""", QueryWorld.Permit(), QueryFormat.Csv);
        Assert.StartsWith("name\r\n", plain);
        Assert.Contains("\r\n=1+1\r\n", plain);
        Assert.Contains("\"a,b\r\nc\"", plain);
        Assert.Contains("\"O'Brien\"\"x\"", plain);
        Assert.Contains("\r\n\"\"\r\n", plain);
        var sheet = await _world.Write("""{"fields":["name","amount"]}""", QueryWorld.Permit(), QueryFormat.Csv, forSpreadsheet: true);
        Assert.StartsWith("\uFEFFname,amount\r\n", sheet);
        Assert.Contains("\"'=1+1\"", sheet);
    }

    [Fact]
    public async Task Arrow_and_parquet_hold_the_same_rows()
    {
        var arrow = await _world.Bytes("""{}""", QueryWorld.Permit(), QueryFormat.Arrow);
        using var reader = new Apache.Arrow.Ipc.ArrowStreamReader(new MemoryStream(arrow));
        var rows = 0;
        while (reader.ReadNextRecordBatch() is { } batch)
            rows += batch.Length;
        Assert.Equal(_world.Rows.Count, rows);
        Assert.Equal("UTC", ((Apache.Arrow.Types.TimestampType)reader.Schema.GetFieldByName("at").DataType).Timezone);
        var parquet = await _world.Bytes("""{}""", QueryWorld.Permit(), QueryFormat.Parquet);
        using var file = new ParquetSharp.ParquetFileReader(new ParquetSharp.IO.ManagedRandomAccessFile(new MemoryStream(parquet)));
        Assert.Equal(_world.Rows.Count, file.FileMetaData.NumRows);
        Assert.Equal(10, file.FileMetaData.NumColumns);
        var lines = (await _world.Write("""{}""", QueryWorld.Permit(), QueryFormat.Ndjson)).Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(_world.Rows.Count, lines.Length);
        Assert.All(lines, l => Assert.Equal(10, JsonDocument.Parse(l).RootElement.EnumerateObject().Count()));
    }

    [Fact]
    public async Task Segments_of_an_older_version_lack_later_fields()
    {
        var path = Path.Combine(_world.Root, "segments", "old.parquet");
        _world.Engine.Execute($"COPY (SELECT * EXCLUDE (n, ok) FROM everyone LIMIT 20) TO '{path}' (FORMAT parquet)");
        var old = _world.Snapshot.Segments[0] with { Path = path, SchemaVersion = 1, HasReplaced = false };
        foreach (var segments in new[] { new[] { old }, [_world.Snapshot.Segments[1], old] })
        {
            using var snapshot = new Gongzhi.Core.Records.RecordSnapshot(QueryWorld.People, segments, null, "gone", 1);
            var query = QueryCompiler.Compile(QueryWorld.Ask("""{"measures":[{"name":"c","function":"count"},{"name":"n","function":"count","field":"n"}]}""").Value!, QueryWorld.Permit(), snapshot, QueryWorld.Within);
            using var reader = (await _world.Engine.RunAsync(query.Value!, TestContext.Current.CancellationToken)).Value!;
            using var batch = await reader.NextAsync();
            Assert.Equal(segments.Length == 1 ? 20 : 20 + _world.Rows.Count(p => QueryWorld.Micros(p.At) >= segments[0].TimeMin && QueryWorld.Micros(p.At) <= segments[0].TimeMax), ((Int64Array)batch!.Column(0)).GetValue(0));
        }
    }
}
