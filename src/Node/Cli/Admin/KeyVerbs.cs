using System.CommandLine;
using Gongzhi.Core.Storage;
using Gongzhi.Ledger;
using Gongzhi.Node.Hosting;

namespace Gongzhi.Node.Cli;

/// <summary><c>gongzhi admin key</c>.</summary>
internal static class KeyVerbs
{
    public static Command Create(AdminCall call)
    {
        var data = new Option<string?>("--data") { Description = Say.In("Read it from this data directory rather than from a running node.", "从该数据目录读取，而不是从运行中的节点。") };
        var show = new Verb("show", "Print the log's verifier key, the one thing an auditor trusts.", "打印存证日志公钥，即审计者唯一信任的内容。", "admin key show > vkey", "admin key show --data /srv/gongzhi") { data };
        show.SetAction((parsed, cancel) => NodeClient.RunAsync(async () =>
        {
            var key = parsed.GetValue(data) is { } directory ? Kept(directory) : await AskedAsync(parsed.GetValue(call.Url)!, cancel).ConfigureAwait(false);
            Console.WriteLine(parsed.GetValue(call.Json) ? System.Text.Json.JsonSerializer.Serialize(new { vkey = key }) : key);
            return ExitCode.Ok;
        }));
        return new Verb("key", "The log's key.", "存证日志的密钥。") { show };
    }

    private static string Kept(string data)
    {
        var settings = NodeConfiguration.Read(null, []).Options;
        byte[]? kept;
        try
        {
            kept = WorldDirectory.Look(data, settings.Database, null, settings.Secret()) is { } world ? WorldKeys.Find(world, "ledger.skey") : null;
        }
        catch (WorldKeyException e)
        {
            throw new StartRefusedException(e.Message);
        }
        if (kept is null)
            throw new StartRefusedException(Say.In($"{data} is not the data directory of a node.", $"{data} 不是节点的数据目录。"));
        if (!NoteSigner.TryParse(System.Text.Encoding.UTF8.GetString(kept).Trim(), out var signer))
            throw new StartRefusedException(Say.In($"The ledger's key of {data} cannot be read.", $"无法读取 {data} 的存证日志密钥。"));
        using (signer)
            return signer.Verifier.ToString();
    }

    private static async Task<string> AskedAsync(string url, CancellationToken cancel)
    {
        using var node = NodeClient.Anonymous(url);
        using var request = AdminCall.Get("ledger/vkey");
        using var response = await node.SendAsync(request, cancel).ConfigureAwait(false);
        if (!response.IsSuccessStatusCode)
            throw await NodeClient.FailureAsync(response, json: false, cancel).ConfigureAwait(false);
        return (await response.Content.ReadAsStringAsync(cancel).ConfigureAwait(false)).Trim();
    }
}
