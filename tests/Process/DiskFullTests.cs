using System.Globalization;
using System.Net.Http.Headers;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Gongzhi.Verifier;

namespace Gongzhi.Tests.Process;

/// <summary>The real program on disks that fill up: each store separately, then everything; and the room coming back.</summary>
[Collection("One node at a time")]
public sealed class DiskFullTests : IDisposable
{
    private const int StorageFullStatus = 507;
    private readonly string _root = Directory.CreateTempSubdirectory("gongzhi-full-").FullName;
    private readonly List<SmallDisk> _disks = [];
    private readonly Dictionary<string, int> _kept = [];

    public void Dispose()
    {
        for (var i = _disks.Count - 1; i >= 0; i--)
            _disks[i].Dispose();
        Directory.Delete(_root, recursive: true);
    }

    [Fact]
    public async Task A_nearly_full_disk_refuses_contributions_and_everything_else_goes_on()
    {
        var disk = Mount("", "64m");
        var reserve = ("FreeBytesMin", (16 << 20).ToString(CultureInfo.InvariantCulture));
        var node = await RunningNode.StartAsync(_root, reserve);
        try
        {
            await DefineAsync(node);
            await KeepAsync(node, "before", 300);
            disk.FillTo(12 << 20);
            foreach (var body in new[] { Rows("refused", 10), Rows("refused", 30_000), Blob("PAR1"u8, 1 << 20), Blob("PK\u0003\u0004"u8, 1 << 20) })
                await RefuseAsync(node, body);
            // What was kept before is answered, read and proven as ever; small changes are kept.
            var (status, _) = await node.ContributeAsync("d", Rows("before", 300), "before");
            Assert.Equal(200, status);
            await CheckRowsAsync(node);
            await node.PostAsync("/api/v1/grants", new { dataset = "d", grantee = new { party = "client:boot" }, purposes = new[] { "other" }, fields = new { key = "plain" } });
            var health = await node.GetAsync("/health/ready");
            Assert.Equal("degraded", health.GetProperty("status").GetString());
            Assert.Contains("nearly full", health.GetProperty("why").GetProperty("space").GetString(), StringComparison.Ordinal);
            Assert.Contains("\n", await node.Http.GetStringAsync("/ledger/checkpoint"), StringComparison.Ordinal);

            // Killed in this state it starts in this state.
            node.Dispose();
            node = await RunningNode.StartAsync(_root, reserve);
            await RefuseAsync(node, Rows("refused", 10));
            await CheckRowsAsync(node);

            disk.MakeRoom();
            await KeepAsync(node, "after", 30_000);
            await KeepAsync(node, "refused", 10);
            await CheckRowsAsync(node);
            Assert.Equal("ok", (await node.GetAsync("/health/ready")).GetProperty("status").GetString());
            await VerifyLogAsync(node);
        }
        finally
        {
            node.Dispose();
        }
    }

    [Fact]
    public async Task The_database_segments_spool_rejects_and_tiles_may_each_be_full()
    {
        Mount("", "64m");
        var (segments, spool, rejects, ledger) = (Mount("segments", "4m"), Mount("spool", "2m"), Mount("rejects", "1m"), Mount("ledger", "1m"));
        using var node = await RunningNode.StartAsync(_root, ("FreeBytesMin", "0"));
        await DefineAsync(node);
        await KeepAsync(node, "first", 5_000);
        var files = Directory.GetFiles(segments.Path).Length;

        // Random text does not compress, so that the file outgrows its disk while it is written.
        await RefuseAsync(node, Noise(140_000));
        Assert.Equal(files, Directory.GetFiles(segments.Path).Length);
        segments.FillTo(0);
        await RefuseAsync(node, Rows("s", 3_000));
        await KeepAsync(node, "in-sql", 2_000);
        segments.MakeRoom();
        await KeepAsync(node, "s", 3_000);

        await RefuseAsync(node, Blob("PAR1"u8, 3 << 20));
        await RefuseAsync(node, Blob("PK\u0003\u0004"u8, 3 << 20));
        spool.FillTo(0);
        await RefuseAsync(node, Blob("PAR1"u8, 5_000));

        rejects.FillTo(0);
        await RefuseAsync(node, new StringContent("key,n\n" + string.Concat(Enumerable.Repeat("x,none\n", 3_000)) + "x,1\n", Encoding.ASCII, "text/csv"), "?mode=partial");
        rejects.MakeRoom();

        // Tiles: kept and acknowledged, only the proof waits for room.
        ledger.FillTo(0);
        await KeepAsync(node, "unproven", 3);
        var before = await node.Http.GetStringAsync("/ledger/checkpoint");
        var (status, waited) = await node.ContributeAsync("d", Rows("unproven", 3), "unproven", "?wait=proof");
        Assert.Equal(200, status);
        Assert.Equal(JsonValueKind.Null, waited.GetProperty("entry").ValueKind);
        Assert.Equal(before, await node.Http.GetStringAsync("/ledger/checkpoint"));
        Assert.InRange(Directory.Exists(Path.Combine(ledger.Path, ".tmp")) ? Directory.GetFiles(Path.Combine(ledger.Path, ".tmp")).Length : 0, 0, 1);
        ledger.MakeRoom();
        (_, waited) = await node.ContributeAsync("d", Rows("unproven", 3), "unproven", "?wait=proof");
        Assert.Equal(JsonValueKind.Object, waited.GetProperty("entry").ValueKind);

        await CheckRowsAsync(node);
        await VerifyLogAsync(node);
    }

    [Fact]
    public async Task A_full_database_refuses_until_there_is_room_and_a_kill_meanwhile_loses_nothing()
    {
        var disk = Mount("", "64m");
        var node = await RunningNode.StartAsync(_root, ("FreeBytesMin", "0"));
        try
        {
            await DefineAsync(node);
            await KeepAsync(node, "before", 300);
            for (var full = 0; full < 2; full++)
            {
                disk.FillTo(0);
                await FillDatabaseAsync(node, $"f{full}-");
                var health = await node.GetAsync("/health/ready");
                Assert.Equal("degraded", health.GetProperty("status").GetString());
                Assert.Contains("The disk is full", health.GetProperty("why").GetProperty("space").GetString(), StringComparison.Ordinal);
                Assert.Contains("\n", await node.Http.GetStringAsync("/ledger/checkpoint"), StringComparison.Ordinal);
                if (full == 1)
                {
                    node.Kill();
                    node.Dispose();
                    // On a disk without a byte it may refuse to start, in one sentence; with room it goes on.
                    using (var still = RunningNode.Spawn(_root, ("FreeBytesMin", "0")))
                    {
                        var exited = still.ExitAsync();
                        if (await Task.WhenAny(exited, still.ListeningAsync()) == exited)
                            Assert.Equal(1, still.Said.Split('\n', StringSplitOptions.RemoveEmptyEntries).Count(l => !l.StartsWith(' ')));
                    }
                    disk.MakeRoom();
                    node = await RunningNode.StartAsync(_root, ("FreeBytesMin", "0"));
                }
                else
                {
                    disk.MakeRoom();
                }
                await KeepAsync(node, $"after{full}", 30_000);
                await CheckRowsAsync(node);
                Assert.Equal("ok", (await node.GetAsync("/health/ready")).GetProperty("status").GetString());
            }
            await VerifyLogAsync(node);
        }
        finally
        {
            node.Dispose();
        }
    }

    private SmallDisk Mount(string directory, string size)
    {
        var disk = SmallDisk.Mount(Path.Combine(_root, directory), size);
        _disks.Add(disk);
        return disk;
    }

    private static Task DefineAsync(RunningNode node) => node.DefineAsync("d", personal: false, ("key", "string"), ("n", "integer"));

    private async Task KeepAsync(RunningNode node, string key, int rows)
    {
        var (status, answer) = await node.ContributeAsync("d", Rows(key, rows), key);
        Assert.True(status == 201, $"{key}: {status} {answer}\n{node.Said}");
        _kept.Add(key, rows);
    }

    /// <summary>Refused in both languages, by name, with nothing left behind.</summary>
    private async Task RefuseAsync(RunningNode node, HttpContent body, string query = "")
    {
        var bytes = await body.ReadAsByteArrayAsync();
        var files = Files();
        foreach (var (language, word) in new[] { ("zh-CN", "磁盘"), ("en", "disk") })
        {
            var copy = new ByteArrayContent(bytes);
            copy.Headers.ContentType = body.Headers.ContentType;
            node.Http.DefaultRequestHeaders.AcceptLanguage.Clear();
            node.Http.DefaultRequestHeaders.AcceptLanguage.Add(new StringWithQualityHeaderValue(language));
            var (status, answer) = await node.ContributeAsync("d", copy, "refused", query);
            Assert.True(status == StorageFullStatus && answer.GetProperty("code").GetString() == "storage.full", $"{status} {answer}\n{node.Said}");
            Assert.Contains(word, answer.GetProperty("detail").GetString(), StringComparison.Ordinal);
        }
        Assert.Equal(files, Files());
    }

    private string[] Files() => [.. new[] { "segments", "spool", "rejects" }.SelectMany(d => Directory.GetFiles(Path.Combine(_root, d))).Order(StringComparer.Ordinal)];

    /// <summary>Small contributions until the database takes no more; what it acknowledged on the way counts.</summary>
    private async Task FillDatabaseAsync(RunningNode node, string prefix)
    {
        for (var i = 0; ; i++)
        {
            Assert.True(i < 500, "the database never became full");
            var (status, answer) = await node.ContributeAsync("d", Rows($"{prefix}{i}", 1_000), $"{prefix}{i}");
            if (status == 201)
            {
                _kept.Add($"{prefix}{i}", 1_000);
                continue;
            }
            Assert.True(status == StorageFullStatus && answer.GetProperty("code").GetString() == "storage.full", $"{status} {answer}\n{node.Said}");
            return;
        }
    }

    private async Task CheckRowsAsync(RunningNode node)
    {
        var found = await node.QueryAsync(new { dataset = "d", purpose = "check", groupBy = new[] { "key" }, measures = new[] { new { name = "c", function = "count" } } });
        Assert.Equal(
            _kept.Select(k => $"{k.Key} {k.Value}").Order(StringComparer.Ordinal),
            found.Select(r => $"{r[0]} {r[1]}").Order(StringComparer.Ordinal));
    }

    private async Task VerifyLogAsync(RunningNode node)
    {
        var key = Path.Combine(_root, "trusted-vkey");
        await File.WriteAllTextAsync(key, await node.Http.GetStringAsync("/ledger/vkey"));
        await node.ContributeAsync("d", Rows("last", 1), "last", "?wait=proof");
        using var said = new StringWriter(CultureInfo.InvariantCulture);
        Assert.True(await Doors.RunAsync(["log", Path.Combine(_root, "ledger"), "--vkey", key, "--lang", "en"], said, said) == 0, said.ToString());
    }

    private static ByteArrayContent Rows(string key, int rows) =>
        Csv("key,n\n" + string.Concat(Enumerable.Range(0, rows).Select(i => string.Create(CultureInfo.InvariantCulture, $"{key},{i}\n"))));

    private static ByteArrayContent Noise(int rows) =>
        Csv("key,n\n" + string.Concat(Enumerable.Range(0, rows).Select(i => $"{Convert.ToHexString(RandomNumberGenerator.GetBytes(40))},{i}\n")));

    private static ByteArrayContent Csv(string text)
    {
        var content = new ByteArrayContent(Encoding.ASCII.GetBytes(text));
        content.Headers.ContentType = new("text/csv");
        return content;
    }

    private static ByteArrayContent Blob(ReadOnlySpan<byte> mark, int length)
    {
        var bytes = RandomNumberGenerator.GetBytes(length);
        mark.CopyTo(bytes);
        return new ByteArrayContent(bytes);
    }
}
