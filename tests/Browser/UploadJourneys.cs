using System.Globalization;
using System.Text;
using System.Text.Json;
using Gongzhi.Core.Records;
using Gongzhi.Tests.Browser.Pages;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Playwright;

namespace Gongzhi.Tests.Browser;

/// <summary>Sending in a file by form: what is wrong is said row by row, what is right gets a receipt that proves it.</summary>
public sealed class UploadJourneys(Site site) : BrowserTest(site)
{
    private const string Header = "station,place,observed_at,pm25,pm10,no2,o3\n";
    private static int _hour;

    [Theory, MemberData(nameof(Views), MemberType = typeof(BrowserTest))]
    public Task A_bad_file_is_explained_and_a_good_one_proven(string language, int width) => SendAsync(language, width, script: true);

    [Theory]
    [InlineData("zh-CN")]
    [InlineData("en")]
    public Task The_same_without_scripts(string language) => SendAsync(language, Visit.Phone, script: false);

    [Theory]
    [InlineData("zh-CN", Visit.Phone)]
    [InlineData("en", Visit.Desk)]
    public async Task The_good_rows_are_kept_when_asked_and_the_others_listed(string language, int width)
    {
        var visit = await VisitAsync(language, width, "contributor");
        await visit.GoAsync("/upload");
        var page = new UploadPage(visit.Page);
        await page.SendAsync("air-quality", "mixed.csv", Header + Row() + Row(pm25: "much") + Row(), partial: true);
        Assert.Equal(["3", "2", "1", "2"], await page.FiguresAsync());
        await PictureAsync(visit, "upload-partial", language, width);
        var (_, list) = await page.DownloadAsync(page.RejectsFile);
        Assert.Contains("2,pm25,type,", list, StringComparison.Ordinal);
        await Accessibility.AssertAsync(visit.Page, "upload-partial");
    }

    [Theory, MemberData(nameof(Views), MemberType = typeof(BrowserTest))]
    public async Task A_long_upload_is_shown_and_can_be_stopped(string language, int width)
    {
        var visit = await VisitAsync(language, width, "contributor");
        await visit.GoAsync("/upload");
        var page = new UploadPage(visit.Page);
        var line = await visit.Context.NewCDPSessionAsync(visit.Page);
        await line.SendAsync("Network.enable");
        await ThrottleAsync(100_000);
        var rows = Header + string.Concat(Enumerable.Repeat(Row(pm25: "much"), 20_000));
        await page.SendAsync("air-quality", "long.csv", rows, wait: false);
        await page.Stop.WaitForAsync();
        await Assertions.Expect(page.Live.Locator("progress")).Not.ToHaveJSPropertyAsync("value", 0);
        Assert.Equal(language == "en" ? "Sending the file…" : "正在发送文件……", await page.LiveState.InnerTextAsync());
        await PictureAsync(visit, "upload-live", language, width);
        await Accessibility.AssertAsync(visit.Page, "upload-live");
        await visit.AssertFitsAsync();
        await page.Stop.ClickAsync();
        await Assertions.Expect(page.LiveState).ToContainTextAsync(language == "en" ? "Stopped" : "已停止");
        await ThrottleAsync(-1);
        // The same page sends again.
        await page.SendAsync("air-quality", "long.csv", rows);
        Assert.Equal(["20,000", "0", "20,000", "0"], await page.FiguresAsync());

        Task ThrottleAsync(int bytesPerSecond) => line.SendAsync("Network.emulateNetworkConditions", new Dictionary<string, object>
        {
            ["offline"] = false, ["latency"] = 0, ["downloadThroughput"] = -1, ["uploadThroughput"] = bytesPerSecond,
        });
    }

    [Fact]
    public async Task Nothing_chosen_and_not_a_table_are_said_beside_the_field()
    {
        var visit = await VisitAsync("en", Visit.Phone, "contributor", script: false);
        await visit.GoAsync("/upload?dataset=air-quality");
        var page = new UploadPage(visit.Page);
        await page.SendAsync("air-quality", "empty.csv", "");
        Assert.Equal(1, await page.FieldErrors.CountAsync());
        await page.SendAsync("air-quality", "other.csv", "name,age\nx,1\n");
        Assert.Contains("columns", await page.FieldErrors.First.InnerTextAsync(), StringComparison.Ordinal);
    }

    private async Task SendAsync(string language, int width, bool script)
    {
        var visit = await VisitAsync(language, width, "contributor", script: script);
        await visit.GoAsync("/upload");
        var page = new UploadPage(visit.Page);
        await page.SendAsync("air-quality", "坏数据.csv", Header + Row() + Row(pm25: "much") + Row(pm25: "99999999"));
        Assert.Equal(["3", "1", "2", "0"], await page.FiguresAsync());
        Assert.Equal(2, await page.Rejects.CountAsync());
        var first = await page.Rejects.First.InnerTextAsync();
        Assert.Contains("2", first, StringComparison.Ordinal);
        Assert.Contains("pm25", first, StringComparison.Ordinal);
        Assert.Contains(language == "en" ? "This is not a number." : "这不是数字。", first, StringComparison.Ordinal);
        Assert.Contains("10000", await page.Rejects.Last.InnerTextAsync(), StringComparison.Ordinal);
        var (_, list) = await page.DownloadAsync(visit.Page.Locator("a[href^='data:text/csv']"));
        Assert.Equal(3, list.TrimEnd().Split('\n').Length);
        if (script)
        {
            await PictureAsync(visit, "upload-refused", language, width);
            await Accessibility.AssertAsync(visit.Page, "upload-refused");
            await visit.AssertFitsAsync();
        }

        await page.SendAsync("air-quality", "好数据.csv", Header + Row() + Row());
        Assert.Equal(["2", "2", "0", "2"], await page.FiguresAsync());
        await page.Seals.First.Locator("summary").ClickAsync();
        var (_, proof) = await page.DownloadAsync(page.Seals.First.Locator("a[href^='/ledger/proof/']"));
        Assert.StartsWith("c2sp.org/tlog-proof@v1", proof, StringComparison.Ordinal);
        if (script)
        {
            await PictureAsync(visit, "upload-done", language, width);
            await Accessibility.AssertAsync(visit.Page, "upload-done");
            await visit.AssertFitsAsync();
        }
        await CheckAsync(visit, page, language, width, script);
    }

    /// <summary>The receipt, once the ledger has taken it in, is genuine; with one byte changed it is not.</summary>
    private async Task CheckAsync(Visit visit, UploadPage page, string language, int width, bool script)
    {
        var href = (await page.Receipt.GetAttributeAsync("href"))!;
        var services = Site.Node.App.Services;
        var batch = services.GetRequiredService<RecordStore>().FindBatch(Guid.Parse(href.Split('/')[^1]))!;
        await services.GetRequiredService<Sequencer>().WaitAsync(batch.Entry, TestContext.Current.CancellationToken);
        var receipt = await (await visit.Context.APIRequest.GetAsync(href)).TextAsync();
        await visit.GoAsync("/ledger");
        var ledger = new LedgerPage(visit.Page);
        Assert.True(await ledger.Entries.CountAsync() > 5);
        await ledger.CheckAsync("receipt.json", receipt);
        Assert.Contains("gz-t-good", await ledger.Verdict.GetAttributeAsync("class"), StringComparison.Ordinal);
        if (script)
        {
            await PictureAsync(visit, "check-genuine", language, width);
            await Accessibility.AssertAsync(visit.Page, "check-genuine");
            await visit.AssertFitsAsync();
        }
        var accepted = JsonDocument.Parse(receipt).RootElement.GetProperty("root").GetString()!;
        var changed = receipt.Replace(accepted, Convert.ToBase64String(Changed(Convert.FromBase64String(accepted))), StringComparison.Ordinal);
        Assert.NotEqual(receipt, changed);
        await ledger.CheckAsync("receipt.json", changed);
        Assert.Contains("gz-t-bad", await ledger.Verdict.GetAttributeAsync("class"), StringComparison.Ordinal);
        if (script)
        {
            await PictureAsync(visit, "check-altered", language, width);
            await Accessibility.AssertAsync(visit.Page, "check-altered");
        }
    }

    private static byte[] Changed(byte[] bytes)
    {
        bytes[0] ^= 1;
        return bytes;
    }

    /// <summary>One reading of an hour that no other row has, in a community that exists.</summary>
    private string Row(string pm25 = "12.5")
    {
        var city = _place ??= SampleCity.City.Generate().AirQuality[0].Place;
        var hour = new DateTime(2024, 1, 1).AddHours(Interlocked.Increment(ref _hour));
        return new StringBuilder().Append(CultureInfo.InvariantCulture, $"TEST,{city},{hour:yyyy-MM-ddTHH:mm:ss},{pm25},20.0,5.0,60.0\n").ToString();
    }

    private static string? _place;
}
