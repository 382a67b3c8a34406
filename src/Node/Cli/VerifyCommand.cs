using System.CommandLine;
using Gongzhi.Verifier;

namespace Gongzhi.Node.Cli;

/// <summary><c>gongzhi verify</c>: the checks of gongzhi-verify, by the same code. An auditor who trusts nobody builds gongzhi-verify, which holds nothing else.</summary>
internal static class VerifyCommand
{
    public static Command Create()
    {
        var command = new Verb("verify",
            "Check proofs, receipts or a whole log against the log's key; needs no node. Exit codes: 0 proven, 1 not proven, 2 unusable input.",
            "用存证日志公钥核验证明、回执或整个存证日志，无需运行节点。退出码：0 已证明，1 未能证明，2 输入不可用。",
            "verify row proofs/*.json --vkey vkey",
            "verify receipt receipt.json --vkey vkey",
            "verify log data/ledger --vkey vkey --from old.checkpoint");
        Doors.AddTo(command);
        return command;
    }
}
