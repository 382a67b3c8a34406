using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace Gongzhi.Tests.Http;

/// <summary>The pages people see, asked for as a browser asks.</summary>
public sealed partial class PageTests
{
    [Theory]
    [InlineData("zh-CN")]
    [InlineData("en")]
    public async Task Public_pages_speak_both_languages_and_need_no_script(string language)
    {
        await using var node = await TestNode.StartAsync();
        await FillAsync(node);
        using var client = Browser(node, language);
        foreach (var path in new[] { "/", "/data", "/data?q=bus&opening=open&page=9", "/data?q=%00%3Cscript%3E", "/data/bus", "/ledger", "/ledger?before=1" })
        {
            using var response = await client.GetAsync(path);
            var html = await response.Content.ReadAsStringAsync();
            Assert.True(response.StatusCode == HttpStatusCode.OK, $"{path}: {(int)response.StatusCode} {html}");
            Assert.Equal("text/html", response.Content.Headers.ContentType?.MediaType);
            Assert.Contains($"<html lang=\"{language}\"", html, StringComparison.Ordinal);
            Assert.Equal(language == "zh-CN", HasChinese().IsMatch(Heading().Match(html).Value));
            AssertPlain(path, html, response);
        }
    }

    [Fact]
    public async Task The_first_page_and_all_it_loads_stay_under_150_KB()
    {
        await using var node = await TestNode.StartAsync();
        await FillAsync(node);
        using var client = Browser(node, "zh-CN");
        var html = await client.GetStringAsync("/");
        var total = Encoding.UTF8.GetByteCount(html);
        foreach (Match link in Asset().Matches(html))
            total += (await client.GetByteArrayAsync("/" + WebUtility.HtmlDecode(link.Groups[1].Value).TrimStart('/'))).Length;
        Assert.InRange(total, 2_000, 150_000);
    }

    [Fact]
    public async Task What_is_missing_or_refused_is_a_page_to_people_and_a_problem_to_programs()
    {
        await using var node = await TestNode.StartAsync();
        using var client = Browser(node, "en");
        foreach (var path in new[] { "/nothing", "/data/none", "/ledger/proof/99" })
        {
            using var page = await client.GetAsync(path);
            var html = await page.Content.ReadAsStringAsync();
            Assert.Equal(HttpStatusCode.NotFound, page.StatusCode);
            Assert.Equal("text/html", page.Content.Headers.ContentType?.MediaType);
            AssertPlain(path, html, page);
            using var program = node.NewClient();
            using var problem = await program.GetAsync(path);
            Assert.Equal(HttpStatusCode.NotFound, problem.StatusCode);
            Assert.Equal("application/problem+json", problem.Content.Headers.ContentType?.MediaType);
        }
        await (await client.GetAsync("/api/nothing")).ProblemAsync(HttpStatusCode.NotFound, "route.unknown");
        await (await client.GetAsync("/ledger/tile/0/zzz")).ProblemAsync(HttpStatusCode.NotFound, "route.unknown");
        using var failed = await client.GetAsync("/nothing/../api/test/fails/other");
        Assert.Equal(HttpStatusCode.InternalServerError, failed.StatusCode);
        using var signIn = await client.GetAsync("/me");
        Assert.Equal(HttpStatusCode.Redirect, signIn.StatusCode);
        Assert.StartsWith("/account/sign-in", signIn.Headers.Location!.PathAndQuery, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_language_is_kept_and_the_way_back_stays_on_this_site()
    {
        await using var node = await TestNode.StartAsync();
        using var client = Browser(node, "en");
        using var chosen = await client.GetAsync("/culture?culture=zh-CN&returnUrl=%2Fdata%3Fq%3Da");
        Assert.Equal("/data?q=a", chosen.Headers.Location?.ToString());
        Assert.Contains("lang=\"zh-CN\"", await client.GetStringAsync("/data"), StringComparison.Ordinal);
        foreach (var elsewhere in new[] { "https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "" })
        {
            using var answer = await client.GetAsync("/culture?culture=xx&returnUrl=" + Uri.EscapeDataString(elsewhere));
            Assert.Equal("/", answer.Headers.Location?.ToString());
            Assert.False(answer.Headers.Contains("Set-Cookie"));
        }
    }

    [Fact]
    public async Task Open_data_is_downloaded_and_made_safe_for_spreadsheets_when_asked()
    {
        await using var node = await TestNode.StartAsync();
        await FillAsync(node);
        using var client = Browser(node, "en");
        var page = await client.GetStringAsync("/data/bus");
        Assert.Contains("/data/bus/download.csv", page, StringComparison.Ordinal);
        using var file = await client.GetAsync("/data/bus/download.csv");
        Assert.Equal("text/csv", file.Content.Headers.ContentType?.MediaType);
        Assert.Equal("bus.csv", file.Content.Headers.ContentDisposition?.FileName?.Trim('"'));
        Assert.Equal("line,delay\r\n=1+1,90\r\nL2,15\r\n", await file.Content.ReadAsStringAsync());
        Assert.Contains("'=1+1", await client.GetStringAsync("/data/bus/download.csv?for=spreadsheet"), StringComparison.Ordinal);

        await PutAsync(node, "closed", Definition.Replace("\"open\"", "\"closed\"", StringComparison.Ordinal));
        Assert.DoesNotContain("download.csv", await client.GetStringAsync("/data/closed"), StringComparison.Ordinal);
        using var refused = await client.GetAsync("/data/closed/download.csv");
        Assert.Equal(HttpStatusCode.Forbidden, refused.StatusCode);
        AssertPlain("closed", await refused.Content.ReadAsStringAsync(), refused);
    }

    [Fact]
    public async Task A_proof_is_found_genuine_altered_or_unreadable()
    {
        await using var node = await TestNode.StartAsync();
        var receipt = await FillAsync(node);
        using var program = node.NewClient();
        program.DefaultRequestHeaders.Authorization = new("Bearer", await node.TokenAsync());
        var proof = await program.GetStringAsync($"/api/v1/datasets/bus/records/{receipt.GetProperty("firstRecord").GetString()}/proof");
        using var client = Browser(node, "en");
        Assert.Contains("gz-notice gz-t-good", await CheckAsync(proof), StringComparison.Ordinal);
        Assert.Contains("gz-notice gz-t-good", await CheckAsync(receipt.GetRawText()), StringComparison.Ordinal);
        Assert.Contains("gz-notice gz-t-good", await CheckAsync(await client.GetStringAsync("/ledger/proof/0")), StringComparison.Ordinal);
        var altered = await CheckAsync(proof.Replace("\"index\":0", "\"index\":1", StringComparison.Ordinal));
        Assert.Contains("gz-notice gz-t-bad", altered, StringComparison.Ordinal);
        Assert.Contains("gz-notice gz-t-warn", await CheckAsync("{<script>"), StringComparison.Ordinal);

        using var unsigned = await client.PostAsync("/ledger/check", Multipart(("proof", proof)));
        Assert.Equal(HttpStatusCode.BadRequest, unsigned.StatusCode);
        // Asks before it sends, so that the refusal is read rather than a broken pipe.
        client.DefaultRequestHeaders.ExpectContinue = true;
        using var huge = await SubmitAsync(client, "/ledger", "/ledger/check", ("proof", new string('x', 1 << 21)));
        Assert.Equal(HttpStatusCode.RequestEntityTooLarge, huge.StatusCode);

        async Task<string> CheckAsync(string file)
        {
            using var response = await SubmitAsync(client, "/ledger", "/ledger/check", ("proof", file));
            var html = await response.Content.ReadAsStringAsync();
            Assert.True(response.StatusCode == HttpStatusCode.OK, html);
            AssertPlain("check", html, response);
            return html;
        }
    }

    [Fact]
    public async Task A_contributor_sends_a_file_sees_what_was_kept_and_doubles_nothing()
    {
        await using var node = await TestNode.StartAsync();
        await FillAsync(node);
        using var client = await SignedInAsync(node, "li", "contributor");
        var mine = await client.GetStringAsync("/me");
        Assert.Contains("Contributor", mine, StringComparison.Ordinal);
        Assert.Contains("/account/sign-out", mine, StringComparison.Ordinal);
        Assert.Contains("href=\"/upload\"", mine, StringComparison.Ordinal);

        using var sent = await SubmitAsync(client, "/upload", "/upload", ("dataset", "bus"), ("mode", "all"), ("file", "line,delay\nL9,3\n"));
        var report = await sent.Content.ReadAsStringAsync();
        Assert.True(sent.StatusCode == HttpStatusCode.OK, report);
        AssertPlain("report", report, sent);
        Assert.Contains("Received. Rows kept: 1", report, StringComparison.Ordinal);
        using var again = await SubmitAsync(client, "/upload", "/upload", ("dataset", "bus"), ("mode", "all"), ("file", "line,delay\nL9,3\n"));
        Assert.Contains("had been received before", await again.Content.ReadAsStringAsync(), StringComparison.Ordinal);

        using var wrong = await SubmitAsync(client, "/upload", "/upload", ("dataset", "bus"), ("mode", "all"), ("file", "line,delay\nL9,soon\n"));
        Assert.Equal(HttpStatusCode.UnprocessableEntity, wrong.StatusCode);
        Assert.Contains("Nothing was kept", await wrong.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        using var unknown = await SubmitAsync(client, "/upload", "/upload", ("dataset", "none"), ("mode", "all"), ("file", "a\n1\n"));
        Assert.Equal(HttpStatusCode.UnprocessableEntity, unknown.StatusCode);
        using var unsigned = await client.PostAsync("/upload", Multipart(("dataset", "bus"), ("file", "line,delay\nL9,4\n")));
        Assert.Equal(HttpStatusCode.BadRequest, unsigned.StatusCode);
        using var program = node.NewClient();
        Assert.Contains("\"records\":3", await program.GetStringAsync("/api/v1/datasets/bus"), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("../../../../escaped.csv")]
    [InlineData("/tmp/escaped.csv")]
    [InlineData("..\\..\\escaped.csv")]
    [InlineData("escaped.xlsx")]
    [InlineData("escaped<img src=x onerror=alert(1)>.csv")]
    public async Task A_files_name_is_shown_and_never_a_path(string name)
    {
        await using var node = await TestNode.StartAsync();
        await FillAsync(node);
        using var client = await SignedInAsync(node, "li", "contributor");
        using var content = Multipart(("__form", ClientExtensions.Hidden(await client.GetStringAsync("/upload"), "__form")), ("dataset", "bus"), ("mode", "all"));
        using var file = new ByteArrayContent("line,delay\nL9,3\n"u8.ToArray());
        file.Headers.ContentDisposition = new ContentDispositionHeaderValue("form-data") { Name = "file", FileName = $"\"{name.Replace("\\", "\\\\", StringComparison.Ordinal)}\"" };
        content.Add(file);
        using var sent = await client.PostAsync("/upload", content);
        var html = await sent.Content.ReadAsStringAsync();
        // Its bytes say what it is, whatever its name says.
        Assert.True(sent.StatusCode == HttpStatusCode.OK, html);
        AssertPlain("report", html, sent);
        Assert.Contains("escaped", html, StringComparison.Ordinal);
        Assert.DoesNotContain("<img", html, StringComparison.Ordinal);
        Assert.Empty(Directory.EnumerateFiles(node.Options.Data, "*escaped*", SearchOption.AllDirectories));
        Assert.False(File.Exists("/tmp/escaped.csv"));
        Assert.Empty(Directory.EnumerateFiles(Path.GetDirectoryName(node.Options.Data)!, "escaped*"));
    }

    [Fact]
    public async Task What_is_found_in_a_file_is_told_while_it_is_checked()
    {
        await using var node = await TestNode.StartAsync();
        await FillAsync(node);
        using var client = await SignedInAsync(node, "li", "contributor");
        var upload = Guid.CreateVersion7(DateTimeOffset.UnixEpoch);
        using var watching = await client.GetAsync($"/upload/live/{upload}", HttpCompletionOption.ResponseHeadersRead);
        Assert.Equal("text/event-stream", watching.Content.Headers.ContentType?.MediaType);
        using var reader = new StreamReader(await watching.Content.ReadAsStreamAsync());
        Assert.Equal((0, 0, false), Told((await reader.ReadLineAsync())!));
        using (var twice = await client.GetAsync($"/upload/live/{upload}"))
            Assert.Equal(HttpStatusCode.TooManyRequests, twice.StatusCode);

        var file = "line,delay\n" + string.Concat(Enumerable.Range(0, 60_000).Select(i => i % 20_000 == 7 ? "L9,soon\n" : $"L9,{i}\n"));
        using var sent = await SubmitAsync(client, "/upload", $"/upload?live={upload}", ("dataset", "bus"), ("mode", "partial"), ("file", file));
        Assert.Equal(HttpStatusCode.OK, sent.StatusCode);
        var last = "";
        while (await reader.ReadLineAsync() is { } line)
            last = line.StartsWith("data:", StringComparison.Ordinal) ? line : last;
        Assert.Equal((60_000, 3, true), Told(last));
        Assert.Contains("Row 8, delay:", last, StringComparison.Ordinal);

        // Nobody else is told, and it is not for readers.
        using var other = await SignedInAsync(node, "wang", "reader");
        using var refused = await other.GetAsync($"/upload/live/{upload}");
        Assert.Equal(HttpStatusCode.Forbidden, refused.StatusCode);

        static (int, int, bool) Told(string line)
        {
            using var json = JsonDocument.Parse(line["data:".Length..]);
            return (json.RootElement.GetProperty("rows").GetInt32(), json.RootElement.GetProperty("faults").GetInt32(), json.RootElement.GetProperty("done").GetBoolean());
        }
    }

    [Fact]
    public async Task Sending_in_data_is_not_for_readers()
    {
        await using var node = await TestNode.StartAsync();
        using var client = await SignedInAsync(node, "wang", "reader");
        using var page = await client.GetAsync("/upload");
        Assert.Equal(HttpStatusCode.Forbidden, page.StatusCode);
        AssertPlain("/upload", await page.Content.ReadAsStringAsync(), page);
        Assert.DoesNotContain("href=\"/upload\"", await client.GetStringAsync("/"), StringComparison.Ordinal);
    }

    private const string Definition = """
        {"title":{"zh-CN":"公交到站","en":"Bus arrivals"},"opening":"open","sharing":"unconditional","owner":"node",
         "schema":{"fields":[{"name":"line","type":"string","constraints":{"required":true}},{"name":"delay","type":"integer","constraints":{"minimum":0}}]}}
        """;

    private static HttpClient Browser(TestNode node, string language)
    {
        var client = node.NewClient();
        client.DefaultRequestHeaders.Accept.ParseAdd("text/html,application/xhtml+xml,*/*;q=0.8");
        client.DefaultRequestHeaders.AcceptLanguage.ParseAdd(language);
        return client;
    }

    private static async Task PutAsync(TestNode node, string id, string definition)
    {
        using var client = node.NewClient();
        using var request = new HttpRequestMessage(HttpMethod.Put, "/api/v1/datasets/" + id) { Content = new StringContent(definition, Encoding.UTF8, "application/json") };
        using var response = await client.SendAsync(request.WithToken(await node.TokenAsync()));
        Assert.True(response.IsSuccessStatusCode, await response.Content.ReadAsStringAsync());
    }

    /// <summary>An open dataset of two rows, in the ledger; answers the receipt.</summary>
    private static async Task<System.Text.Json.JsonElement> FillAsync(TestNode node)
    {
        await PutAsync(node, "bus", Definition);
        using var client = node.NewClient();
        using var request = new HttpRequestMessage(HttpMethod.Post, "/api/v1/datasets/bus/records?wait=proof") { Content = new StringContent("line,delay\n=1+1,90\nL2,15\n", Encoding.UTF8, "text/csv") };
        using var response = await client.SendAsync(request.WithToken(await node.TokenAsync()));
        Assert.Equal(HttpStatusCode.Created, response.StatusCode);
        return await response.Content.ReadFromJsonAsync<System.Text.Json.JsonElement>();
    }

    private static async Task<HttpClient> SignedInAsync(TestNode node, string name, string role)
    {
        await node.AddAccountAsync(name);
        using (var program = node.NewClient())
        {
            program.DefaultRequestHeaders.Authorization = new("Bearer", await node.TokenAsync());
            using var given = await program.PostAsJsonAsync($"/api/v1/parties/person:{name}/roles", new { role, unit = "node" });
            Assert.True(given.IsSuccessStatusCode, await given.Content.ReadAsStringAsync());
        }
        var client = Browser(node, "en");
        using var signedIn = await client.SignInAsync(name, TestNode.Password);
        Assert.Equal(HttpStatusCode.Redirect, signedIn.StatusCode);
        return client;
    }

    /// <summary>Sends a page's form with the token that the page itself carries.</summary>
    private static async Task<HttpResponseMessage> SubmitAsync(HttpClient client, string page, string action, params (string, string)[] fields)
    {
        var form = await client.GetStringAsync(page);
        var token = ClientExtensions.Hidden(form, "__form");
        Assert.NotEmpty(token);
        return await client.PostAsync(action, Multipart([("__form", token), .. fields]));
    }

    private static MultipartFormDataContent Multipart(params (string Name, string Value)[] fields)
    {
        var content = new MultipartFormDataContent();
        foreach (var (name, value) in fields)
        {
            var part = new ByteArrayContent(Encoding.UTF8.GetBytes(value));
            if (name is "file" or "proof")
            {
                part.Headers.ContentType = new MediaTypeHeaderValue("application/octet-stream");
                content.Add(part, name, name == "file" ? "数据.csv" : "proof.json");
            }
            else
            {
                content.Add(part, name);
            }
        }
        return content;
    }

    private static void AssertPlain(string path, string html, HttpResponseMessage response)
    {
        // The upload page shows more with a script of ours, and works without it; no page has one of its own text.
        Assert.False(Script().Replace(html, "").Contains("<script", StringComparison.OrdinalIgnoreCase), path + " has a script");
        Assert.True(html.Contains("data-live-upload", StringComparison.Ordinal) || !Script().IsMatch(html), path + " has a script");
        Assert.False(InlineStyle().IsMatch(html), path + " has inline style");
        Assert.False(Foreign().IsMatch(html), path + " loads from elsewhere");
        Assert.Contains("gongzhi.css", html, StringComparison.Ordinal);
        foreach (var name in new[] { "Content-Security-Policy", "X-Content-Type-Options", "Referrer-Policy", "X-Frame-Options" })
            Assert.True(response.Headers.Contains(name), $"{path} lacks {name}");
    }

    [GeneratedRegex("<script type=\"module\" src=\"/?_content/Gongzhi\\.Ui/upload[^\"]*\"></script>")]
    private static partial Regex Script();

    [GeneratedRegex("<style|\\sstyle=\"|\\son[a-z]+=\"", RegexOptions.IgnoreCase)]
    private static partial Regex InlineStyle();

    [GeneratedRegex("(src|<link[^>]* href)=\"(https?:)?//", RegexOptions.IgnoreCase)]
    private static partial Regex Foreign();

    [GeneratedRegex("<link[^>]* href=\"([^\"]+)\"")]
    private static partial Regex Asset();

    [GeneratedRegex("<h1>.*?</h1>", RegexOptions.Singleline)]
    private static partial Regex Heading();

    [GeneratedRegex("\\p{IsCJKUnifiedIdeographs}")]
    private static partial Regex HasChinese();
}
