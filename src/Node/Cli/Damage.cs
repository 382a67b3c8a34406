using System.Data.Common;
using Gongzhi.Core.Records;
using Gongzhi.Core.Storage;
using Gongzhi.Core.Storage.Segments;
using Gongzhi.Ledger;

namespace Gongzhi.Node.Cli;

/// <summary>What is kept turns out, on opening it, not to be what was committed: not for a stack trace, since the operator can act on it.</summary>
internal static class Damage
{
    public static bool Is(Exception e) => e is LedgerCorruptException or InvalidDataException or RecordsCorruptException or SegmentCorruptException || StoreFaults.IsDamaged(e);

    /// <summary>One line that names the file.</summary>
    public static string Sentence(Exception e)
    {
        // Messages of libraries may have several lines.
        var what = string.Join(' ', (e is LedgerCorruptException ? "ledger/" + e.Message : e is DbException ? "node.db: " + e.Message : e.Message).Split(['\r', '\n'], StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries));
        return Say.In($"What the data directory holds is not what was committed, so nothing is started on it: {what} Leave it as it is, and run: gongzhi admin check --data DIR",
            $"数据目录中的内容与所承诺的不符，因此不予启动：{what} 请保持原样，并运行：gongzhi admin check --data 目录");
    }
}
