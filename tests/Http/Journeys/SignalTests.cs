using System.Net;
using System.Text.Json;
using Gongzhi.Core.Parties;
using Gongzhi.Core.Signals;
using Microsoft.Extensions.DependencyInjection;

namespace Gongzhi.Tests.Http.Journeys;

/// <summary>A silence as a steward, a stranger and an administrator meet it.</summary>
[Collection("Journeys")]
public sealed class SignalTests
{
    [Fact]
    public async Task A_silence_is_shown_to_the_steward_with_what_opens_its_entry_and_to_nobody_else()
    {
        var clock = new MovedClock();
        await using var journey = await Journey.StartAsync(extend: b => b.Services.AddSingleton<TimeProvider>(clock));
        await journey.DefineAsync("d", new { owner = "node", opening = "open", expectedEvery = "PT3M", schema = new { fields = new object[] { new { name = "n", type = "integer" } } } });
        await journey.ContributeAsync("d", "n\n1\n", 1);
        var definition = await journey.Http.GetFromJsonAsyncElement("/api/v1/datasets/d");
        Assert.Equal("PT3M", definition.GetProperty("expectedEvery").GetString());
        clock.Ahead = TimeSpan.FromMinutes(5);
        // The node's own seats do the work; the test waits for what they write.
        JsonElement signal;
        var since = TimeProvider.System.GetTimestamp();
        while (true)
        {
            var list = (await journey.Http.GetFromJsonAsyncElement("/api/v1/signals?state=open&dataset=d")).GetProperty("signals");
            if (list.GetArrayLength() > 0)
            {
                signal = list[0];
                break;
            }
            Assert.True(TimeProvider.System.GetElapsedTime(since) < TimeSpan.FromSeconds(30), "Nobody noticed.");
            await Task.Delay(TimeSpan.FromMilliseconds(100), TimeProvider.System, TestContext.Current.CancellationToken);
        }
        Assert.Equal(("freshness.silent", "warning", "d"), (signal.GetProperty("kind").GetString(), signal.GetProperty("severity").GetString(), signal.GetProperty("dataset").GetString()));
        Assert.Contains("应每 3 分钟更新一次", signal.GetProperty("zh").GetString(), StringComparison.Ordinal);
        Assert.Equal(signal.GetProperty("id").GetString(), signal.GetProperty("content").GetProperty("signal").GetString());
        var commitment = Core.Audit.EntryBytes.Commit(System.Text.Encoding.UTF8.GetBytes(signal.GetProperty("content").GetRawText()), Convert.FromBase64String(signal.GetProperty("salt").GetString()!));
        Assert.Equal(Core.Audit.EntryBytes.Commitment(signal.GetProperty("id").GetGuid(), "signal", commitment), await EntryAsync(journey, signal.GetProperty("id").GetGuid()));

        // On the page, in both languages, for who may.
        foreach (var (language, words) in new[] { ("en", "it is expected every 3 minutes"), ("zh-CN", "应每 3 分钟更新一次") })
        {
            Assert.Contains(words, await PageAsync(journey.Http, language), StringComparison.Ordinal);
            using var nobody = journey.Node.NewClient();
            Assert.DoesNotContain("id=\"signals\"", await PageAsync(nobody, language), StringComparison.Ordinal);
        }
        using var stranger = await journey.OtherPartyAsync("tax", Roles.Steward);
        Assert.Equal(0, (await stranger.GetFromJsonAsyncElement("/api/v1/signals")).GetProperty("signals").GetArrayLength());
        using var auditor = await journey.OtherPartyAsync("board", Roles.AuditAdministrator);
        Assert.Equal(1, (await auditor.GetFromJsonAsyncElement("/api/v1/signals")).GetProperty("signals").GetArrayLength());
        Assert.Equal(2 * AnalysisRunner.Shards, (await auditor.GetFromJsonAsyncElement("/api/v1/analyses")).GetProperty("analyses").GetArrayLength());
        Assert.Equal(HttpStatusCode.Forbidden, (await stranger.GetAsync("/api/v1/analyses")).StatusCode);
        Assert.Equal(HttpStatusCode.Unauthorized, (await journey.Node.NewClient().GetAsync("/api/v1/signals")).StatusCode);
        foreach (var wrong in (string[])["state=over", "severity=loud"])
            await (await journey.Http.GetAsync("/api/v1/signals?" + wrong)).ProblemAsync(HttpStatusCode.BadRequest, "signals.filter");
    }

    [Theory]
    [InlineData("P1M")]
    [InlineData("P1Y")]
    [InlineData("PT59S")]
    [InlineData("P367D")]
    [InlineData("P")]
    [InlineData("PT")]
    [InlineData("1 day")]
    [InlineData("P999999999999D")]
    public async Task An_expectation_that_is_none_is_refused(string every)
    {
        await using var journey = await Journey.StartAsync();
        using var body = new StringContent(JsonSerializer.Serialize(new { expectedEvery = every, schema = new { fields = new object[] { new { name = "n", type = "integer" } } } }), System.Text.Encoding.UTF8, "application/json");
        using var refused = await journey.Http.PutAsync("/api/v1/datasets/d", body);
        Assert.Equal("expectedEvery", (await refused.ProblemAsync(HttpStatusCode.UnprocessableEntity, "dataset.invalid")).GetProperty("path").GetString());
    }

    private static async Task<byte[]> EntryAsync(Journey journey, Guid id)
    {
        using var connection = Core.Storage.NodeDatabase.OpenReader(journey.World);
        using var command = connection.CreateCommand();
        command.CommandText = "SELECT entry FROM ledger_pending WHERE id = @id";
        var parameter = command.CreateParameter();
        (parameter.ParameterName, parameter.Value) = ("@id", id.ToByteArray(bigEndian: true));
        command.Parameters.Add(parameter);
        return (byte[])(await command.ExecuteScalarAsync(TestContext.Current.CancellationToken))!;
    }

    private static async Task<string> PageAsync(HttpClient http, string language)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, "/data/d");
        request.Headers.AcceptLanguage.ParseAdd(language);
        using var response = await http.SendAsync(request);
        return WebUtility.HtmlDecode(await response.Content.ReadAsStringAsync());
    }

    private sealed class MovedClock : TimeProvider
    {
        private long _ahead;

        public TimeSpan Ahead
        {
            get => TimeSpan.FromTicks(Volatile.Read(ref _ahead));
            set => Volatile.Write(ref _ahead, value.Ticks);
        }

        public override DateTimeOffset GetUtcNow() => base.GetUtcNow() + Ahead;
    }
}
