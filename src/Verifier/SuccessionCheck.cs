using System.Globalization;
using Gongzhi.Ledger;

namespace Gongzhi.Verifier;

/// <summary>Whether a log goes on under another key: statements signed by both, each from the key that the one before leads to.</summary>
internal sealed class SuccessionCheck(NoteVerifier trusted)
{
    private NoteVerifier _key = trusted;

    public Verdict Check(byte[] bytes)
    {
        if (!Succession.TryOpen(bytes, out var succession))
            return Verdict.Not("succession.signature", "This is not a succession that both keys have signed.", "这不是由新旧两把密钥共同签名的承继声明。");
        if (succession.Old.ToString() != _key.ToString())
            return Verdict.Not("succession.key", "Another key than the trusted one hands over here.", "此处交出的并非受信任的密钥。");
        _key = succession.New;
        var time = succession.Time.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture);
        return new Verdict(Outcome.Proven, "succession.proven",
            $"From entry {succession.Size} on the log goes on under {succession.New} (since {time}: {succession.Reason}).",
            $"自第 {succession.Size} 个条目起，存证日志改用公钥 {succession.New}（{time}：{succession.Reason}）。")
        {
            Facts = new Dictionary<string, object?> { ["size"] = succession.Size, ["root"] = Convert.ToBase64String(succession.Root.Span), ["newKey"] = succession.New.ToString(), ["time"] = time, ["reason"] = succession.Reason },
        };
    }
}
