using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Text;

namespace Gongzhi.Tests.Process.Kill;

/// <summary>One contribution as its sender knows it.</summary>
/// <param name="Rejected">Rows of it that are not valid, in a partial contribution.</param>
internal sealed record Sent(string Dataset, string Key, int Rows, int Rejected);

/// <summary>One record of its own contribution, which is then corrected by higher numbers and sometimes erased; used by one client at a time.</summary>
internal sealed class Note(string key)
{
    public string Key { get; } = key;

    /// <summary>The current version, as last acknowledged; null while the contribution itself has no answer.</summary>
    public Guid? Record { get; set; }

    /// <summary>The number in it.</summary>
    public int N { get; set; }

    /// <summary>A correction to the next number was sent and has no answer.</summary>
    public bool Correcting { get; set; }

    /// <summary>An erasure was sent and has no answer.</summary>
    public bool Erasing { get; set; }
    public bool Erased { get; set; }
}

internal sealed record Acknowledged(Sent Sent, Guid Receipt, Guid FirstRecord);

/// <summary>What the clients were told: the oracle. Only what came back over the wire is in here.</summary>
internal sealed class Told
{
    public ConcurrentDictionary<string, Acknowledged> Contributions { get; } = new();

    /// <summary>Sent in this round, without an answer.</summary>
    public ConcurrentDictionary<string, Sent> Open { get; } = new();

    /// <summary>Grants by id: whether they are in force, or null when a change of that got no answer.</summary>
    public ConcurrentDictionary<string, bool?> Grants { get; } = new();

    public ConcurrentDictionary<string, bool> Units { get; } = new();

    /// <summary>Records that are corrected and erased, by the key in them.</summary>
    public ConcurrentDictionary<string, Note> Notes { get; } = new();

    /// <summary>State changes on their way when the program died.</summary>
    public int OpenChanges;

    /// <summary>Signed checkpoints, with the round that saw them.</summary>
    public ConcurrentDictionary<string, int> Checkpoints { get; } = new();
}

/// <summary>Clients that contribute and change state at once, until the program is gone.</summary>
internal sealed class KillLoad(RunningNode node, Told told, KillMoment moment, int round)
{
    public static readonly string[] Datasets = ["payments", "visits", "people", Keyed];

    /// <summary>Has a primary key.</summary>
    public const string Keyed = "register";

    /// <summary>Its records are corrected and erased.</summary>
    public const string Noted = "notes";

    private static readonly int[] SmallSizes = [1, 40, 700, 1_500, 2_048];

    public async Task RunAsync(Random random)
    {
        var seeds = Enumerable.Range(0, 7).Select(_ => random.Next()).ToArray();
        await Task.WhenAll(
            Task.Run(() => ContributeAsync(0, new Random(seeds[0]), r => SmallSizes[r.Next(SmallSizes.Length)])),
            Task.Run(() => ContributeAsync(1, new Random(seeds[1]), r => SmallSizes[r.Next(SmallSizes.Length)])),
            Task.Run(() => ContributeAsync(2, new Random(seeds[2]), r => SmallSizes[r.Next(SmallSizes.Length)])),
            Task.Run(() => ContributeAsync(3, new Random(seeds[3]), r => r.Next(2_049, 20_000))),
            // More than a group of rows, so that a segment is written while the rest still comes; the first of a round only.
            Task.Run(() => ContributeAsync(4, new Random(seeds[4]), r => r.Next(132_000, 170_000), restAfterFirst: true)),
            Task.Run(() => ChangeStateAsync(new Random(seeds[5]))),
            Task.Run(() => NoteAsync(new Random(seeds[6]))));
    }

    private async Task ContributeAsync(int writer, Random random, Func<Random, int> size, bool restAfterFirst = false)
    {
        for (var i = 0; !moment.Killed; i++)
        {
            var rows = restAfterFirst && i > 0 ? random.Next(2_049, 4_000) : size(random);
            var sent = new Sent(Datasets[random.Next(Datasets.Length)], $"r{round}w{writer}i{i}", rows, random.Next(5) == 0 ? 3 : 0);
            told.Open[sent.Key] = sent;
            if (!await TryAsync(() => SendAsync(sent, wait: random.Next(4) == 0)))
                return;
        }
    }

    private async Task SendAsync(Sent sent, bool wait)
    {
        var (status, answer) = await Submit(node, sent, wait, bytes => moment.Seen(Sign.UploadBytes, bytes));
        Assert.True(status == (int)HttpStatusCode.Created, $"{status} {answer}");
        Keep(told, sent, answer, round);
        moment.Seen(Sign.Receipts);
    }

    public static Task<(int Status, System.Text.Json.JsonElement Answer)> Submit(RunningNode node, Sent sent, bool wait, Action<int>? sending = null) =>
        node.ContributeAsync(sent.Dataset, new PiecewiseContent(Body(sent), sending), sent.Key, (sent.Rejected > 0 ? "?mode=partial" : "?mode=all") + (wait ? "&wait=proof" : ""));

    public static void Keep(Told told, Sent sent, System.Text.Json.JsonElement answer, int round)
    {
        Assert.Equal(sent.Rows, answer.GetProperty("accepted").GetInt64());
        Assert.Equal(sent.Rejected, answer.GetProperty("rejected").GetInt64());
        if (answer.TryGetProperty("entry", out var entry) && entry.ValueKind == System.Text.Json.JsonValueKind.Object)
            told.Checkpoints.TryAdd(entry.GetProperty("checkpoint").GetString()!, round);
        told.Contributions[sent.Key] = new Acknowledged(sent, answer.GetProperty("receipt").GetGuid(), answer.GetProperty("firstRecord").GetGuid());
        told.Open.TryRemove(sent.Key, out _);
    }

    private async Task NoteAsync(Random random)
    {
        for (var i = 0; !moment.Killed; i++)
        {
            var note = told.Notes[$"r{round}n{i}"] = new Note($"r{round}n{i}");
            if (!await TryAsync(() => NoteAsync(note, random)))
                return;
        }
    }

    private async Task NoteAsync(Note note, Random random)
    {
        await ContributeAsync(node, note);
        for (var corrections = random.Next(4); corrections > 0; corrections--)
        {
            note.Correcting = true;
            Assert.Equal((int)HttpStatusCode.Created, await CorrectAsync(node, note));
            moment.Seen(Sign.Correction);
        }
        if (random.Next(4) != 0)
            return;
        note.Erasing = true;
        // 200 where it was asked for again, since the journal could not be emptied at the first time.
        Assert.InRange(await EraseAsync(node, note), 200, 201);
        moment.Seen(Sign.Erasure);
    }

    /// <summary>Sends the note, or sends it again; answers the status.</summary>
    public static async Task<int> ContributeAsync(RunningNode node, Note note)
    {
        var (status, receipt) = await node.ContributeAsync(Noted, new StringContent($"key,n\n{note.Key},0\n", Encoding.ASCII, "text/csv"), note.Key);
        Assert.True(status is 200 or 201, $"{note.Key}: {status} {receipt}");
        note.Record = receipt.GetProperty("firstRecord").GetGuid();
        return status;
    }

    /// <summary>Sends the correction to the next number, or sends it again; answers the status.</summary>
    public static async Task<int> CorrectAsync(RunningNode node, Note note)
    {
        using var request = new HttpRequestMessage(HttpMethod.Put, $"/api/v1/datasets/{Noted}/records/{note.Record}")
        {
            Content = System.Net.Http.Json.JsonContent.Create(new { key = note.Key, n = note.N + 1 }),
        };
        request.Headers.Add("Idempotency-Key", $"{note.Key}-{note.N + 1}");
        using var response = await node.Http.SendAsync(request);
        var text = await response.Content.ReadAsStringAsync();
        Assert.True(response.IsSuccessStatusCode, $"{note.Key}: {(int)response.StatusCode} {text}");
        (note.Record, note.N, note.Correcting) = (System.Text.Json.JsonDocument.Parse(text).RootElement.GetProperty("firstRecord").GetGuid(), note.N + 1, false);
        return (int)response.StatusCode;
    }

    /// <summary>Asks for the erasure of the current version, again where the journal could not be emptied yet; answers the status.</summary>
    public static async Task<int> EraseAsync(RunningNode node, Note note)
    {
        while (true)
        {
            using var response = await System.Net.Http.Json.HttpClientJsonExtensions.PostAsJsonAsync(node.Http, $"/api/v1/datasets/{Noted}/erasures", new { records = new[] { note.Record }, reason = "as the test wants it" });
            if (response.StatusCode == HttpStatusCode.ServiceUnavailable)
                continue;
            Assert.True(response.IsSuccessStatusCode, $"{note.Key}: {(int)response.StatusCode} {await response.Content.ReadAsStringAsync()}");
            (note.Erased, note.Erasing) = (true, false);
            return (int)response.StatusCode;
        }
    }

    private async Task ChangeStateAsync(Random random)
    {
        for (var i = 0; !moment.Killed; i++)
        {
            Interlocked.Increment(ref told.OpenChanges);
            if (!await TryAsync(() => ChangeAsync(i, random)))
                return;
            Interlocked.Decrement(ref told.OpenChanges);
            moment.Seen(Sign.StateChange);
        }
    }

    private async Task ChangeAsync(int i, Random random)
    {
        var standing = told.Grants.Where(g => g.Value == true).Select(g => g.Key).ToArray();
        switch (random.Next(4))
        {
            case 0 when standing.Length > 0:
                var id = standing[random.Next(standing.Length)];
                told.Grants[id] = null;
                using (var response = await node.Http.DeleteAsync("/api/v1/grants/" + id))
                    Assert.True(response.IsSuccessStatusCode, await response.Content.ReadAsStringAsync());
                told.Grants[id] = false;
                break;
            case 1:
                var unit = $"u-{round}-{i}";
                await node.PostAsync("/api/v1/units", new { id = unit, nameZh = "单位", parent = "node", level = 1, place = "110000000000" });
                told.Units[unit] = true;
                break;
            default:
                var made = await node.PostAsync("/api/v1/grants", new
                {
                    dataset = Datasets[random.Next(Datasets.Length)], grantee = new { party = "client:boot" }, purposes = new[] { $"p{round}-{i}" }, fields = new { key = "plain" },
                });
                told.Grants[made.GetProperty("id").GetString()!] = true;
                break;
        }
        told.Checkpoints.TryAdd(await node.Http.GetStringAsync("/ledger/checkpoint"), round);
    }

    /// <summary>False once the program is gone; a failure before that is one.</summary>
    private async Task<bool> TryAsync(Func<Task> act)
    {
        try
        {
            await act();
            return true;
        }
        catch (Exception e) when (e is HttpRequestException or IOException or OperationCanceledException && moment.Killed)
        {
            return false;
        }
        catch
        {
            // A wrong answer ends the round for everyone.
            moment.GiveUp();
            throw;
        }
    }

    private static byte[] Body(Sent sent)
    {
        var text = new StringBuilder("key,n\n");
        for (var i = 0; i < sent.Rejected; i++)
            text.Append(CultureInfo.InvariantCulture, $"{sent.Key},none\n");
        for (var i = 0; i < sent.Rows; i++)
            text.Append(CultureInfo.InvariantCulture, $"{sent.Key},{i}\n");
        return Encoding.ASCII.GetBytes(text.ToString());
    }
}

/// <summary>A body without a length, sent in pieces that are counted as they go out.</summary>
internal sealed class PiecewiseContent : HttpContent
{
    private const int Piece = 16_384;
    private readonly byte[] _body;
    private readonly Action<int>? _sending;

    public PiecewiseContent(byte[] body, Action<int>? sending)
    {
        (_body, _sending) = (body, sending);
        Headers.ContentType = new("text/csv");
    }

    protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context)
    {
        for (var at = 0; at < _body.Length; at += Piece)
        {
            var length = Math.Min(Piece, _body.Length - at);
            await stream.WriteAsync(_body.AsMemory(at, length));
            await stream.FlushAsync();
            _sending?.Invoke(length);
        }
    }

    protected override bool TryComputeLength(out long length)
    {
        length = 0;
        return false;
    }
}
