using System.CommandLine;
using System.Text.Json;
using Gongzhi.Ledger;

namespace Gongzhi.Verifier;

/// <summary>The commands of gongzhi-verify. Exit codes: 0 proven, 1 not proven or tampered with, 2 unusable input.</summary>
public static class Doors
{
    private static readonly JsonSerializerOptions Json = new() { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>What all checks take; a tree of commands has its own, since an option knows its parents.</summary>
    private sealed class Common
    {
        public Common() => Language.AcceptOnlyFromAmong("zh", "zh-CN", "en");

        public Option<FileInfo> Key { get; } = new("--vkey")
        {
            Description = "A file holding the log's one-line verifier key; the only thing trusted. 存证日志验证公钥文件（唯一信任的内容）。",
            Required = true,
            Recursive = true,
        };

        public Option<bool> AsJson { get; } = new("--json") { Description = "Print JSON, one object a line. 以 JSON 输出，每行一个对象。", Recursive = true };

        public Option<string?> Language { get; } = new("--lang")
        {
            Description = "zh or en; by default what LC_ALL, LC_MESSAGES or LANG says. 输出语言，默认取自环境变量。",
            Recursive = true,
        };
    }

    /// <summary>Runs one command line; results go to <paramref name="output"/>.</summary>
    public static async Task<int> RunAsync(string[] args, TextWriter output, TextWriter error)
    {
        var root = new RootCommand(
            "Verifies what a Gongzhi node hands out, trusting only the log's key. Exit codes: 0 proven, 1 not proven, 2 unusable input.\n"
            + "核验共治节点给出的证明，只信任存证日志公钥。退出码：0 已证明，1 未能证明，2 输入不可用。");
        AddTo(root);

        var parsed = root.Parse(args);
        var exit = await parsed.InvokeAsync(new InvocationConfiguration { Output = output, Error = error });
        return parsed.Errors.Count > 0 ? (int)Outcome.Unusable : exit;
    }

    /// <summary>Gives a command the checks and their options: gongzhi-verify itself, and <c>gongzhi verify</c>, are the same code.</summary>
    public static void AddTo(Command root)
    {
        var common = new Common();
        root.Add(common.Key);
        root.Add(common.AsJson);
        root.Add(common.Language);

        var proofs = new Argument<string[]>("proof") { Arity = ArgumentArity.OneOrMore, Description = "Row proofs: files, .json or .ndjson with one a line, or addresses. 行证明：文件或网址。" };
        var row = new Command("row", "Prove that rows were committed to the ledger. 证明若干行已写入存证日志。") { proofs };
        row.SetAction((parse, cancel) => ReportAsync(parse, common, key => RowsAsync(parse.GetValue(proofs)!, key, cancel)));

        var receipts = new Argument<string[]>("receipt") { Arity = ArgumentArity.OneOrMore, Description = "Receipts of contributions: files or addresses. 提交回执：文件或网址。" };
        var receipt = new Command("receipt", "Prove that a contribution was committed to the ledger. 证明一次提交已写入存证日志。") { receipts };
        receipt.SetAction((parse, cancel) => ReportAsync(parse, common, key => EachAsync(parse.GetValue(receipts)!, bytes => ReceiptCheck.Check(bytes, key), cancel)));

        var entries = new Argument<string[]>("entry")
        {
            Arity = ArgumentArity.OneOrMore,
            Description = "Entries with their proofs, as /ledger/proof/N.json or an opened access or audit change: files or addresses. 附证明的条目：文件或网址。",
        };
        var entry = new Command("entry", "Prove that entries are in the ledger, and that opened content is what they commit to. 证明条目已在存证日志中，且公开的内容与其承诺一致。") { entries };
        entry.SetAction((parse, cancel) => ReportAsync(parse, common, key => EachAsync(parse.GetValue(entries)!, bytes => OpenedEntryCheck.Check(bytes, key), cancel)));

        var place = new Argument<string>("log") { Description = "The log's directory or URL prefix. 存证日志目录或网址前缀。" };
        var from = new Option<FileInfo?>("--from") { Description = "An older signed checkpoint the log must extend. 旧检查点，存证日志须为其延续。" };
        var to = new Option<FileInfo?>("--to") { Description = "The signed checkpoint to check up to, whatever was added since. 核验至该检查点为止，不论其后是否增长。" };
        var log = new Command("log", "Recompute a whole log from its entries. 由条目重算整个存证日志。") { place, from, to };
        log.SetAction((parse, cancel) => ReportAsync(parse, common, key => LogAsync(parse.GetValue(place)!, parse.GetValue(from), parse.GetValue(to), key, cancel)));
        var statements = new Argument<string[]>("statement") { Arity = ArgumentArity.OneOrMore, Description = "Statements as /ledger/succession/N, oldest first: files or addresses. 承继声明，从最早的开始：文件或网址。" };
        var succession = new Command("succession", "Prove that a log goes on under another key, and print it. 证明存证日志改用了另一密钥，并输出该公钥。") { statements };
        succession.SetAction((parse, cancel) => ReportAsync(parse, common, key => EachAsync(parse.GetValue(statements)!, new SuccessionCheck(key).Check, cancel)));

        var notes = new Argument<string[]>("checkpoint") { Arity = ArgumentArity.OneOrMore, Description = "Signed checkpoints: files or addresses, such as /ledger/witnessed. 已签名的检查点：文件或网址。" };
        var trusted = new Option<FileInfo[]>("--witness") { Description = "A file with the key of a witness that is trusted; may be given several times. 受信任见证方的公钥文件，可多次给出。", AllowMultipleArgumentsPerToken = false };
        var quorum = new Option<int?>("--quorum") { Description = "How many of them must have cosigned; all by default. 至少须有几个联署，默认全部。" };
        var checkpoint = new Command("checkpoint", "Prove that a checkpoint is signed by the log and cosigned by its witnesses. 证明检查点由存证日志签名并由见证方联署。") { notes, trusted, quorum };
        checkpoint.SetAction((parse, cancel) => ReportAsync(parse, common, key => CheckpointsAsync(parse.GetValue(notes)!, key, parse.GetValue(trusted) ?? [], parse.GetValue(quorum), cancel)));
        root.Add(succession);
        root.Add(checkpoint);
        root.Add(row);
        root.Add(log);
        root.Add(receipt);
        root.Add(entry);
    }

    private static async Task<int> ReportAsync(ParseResult parse, Common common, Func<NoteVerifier, IAsyncEnumerable<(string Name, Verdict Verdict)>> check)
    {
        var output = parse.InvocationConfiguration.Output;
        var chinese = TerminalLanguage.IsChinese(parse.GetValue(common.Language));
        var worst = Outcome.Proven;
        await foreach (var (name, verdict) in WithKeyAsync(parse.GetValue(common.Key)!, check))
        {
            // Tampering weighs more than a file that could not be read.
            if (verdict.Outcome == Outcome.NotProven || worst == Outcome.Proven) worst = verdict.Outcome;
            await output.WriteLineAsync(parse.GetValue(common.AsJson)
                ? JsonSerializer.Serialize(new { name, outcome = verdict.Outcome.ToString(), code = verdict.Code, sentence = verdict.In(chinese), facts = verdict.Facts }, Json)
                : Printable($"{name}: {verdict.In(chinese)}"));
        }
        return (int)worst;
    }

    // A hostile proof may name a dataset in escape sequences; they are not for this terminal.
    private static string Printable(string text) => string.Concat(text.Select(c => char.IsControl(c) ? '\uFFFD' : c));

    private static async IAsyncEnumerable<(string, Verdict)> WithKeyAsync(FileInfo file, Func<NoteVerifier, IAsyncEnumerable<(string, Verdict)>> check)
    {
        var (bytes, unread) = Read(file, 4096);
        if (bytes is null || !NoteVerifier.TryParse(System.Text.Encoding.UTF8.GetString(bytes).Trim(), out var key) || key.Type != NoteKeyType.Ed25519)
        {
            yield return (file.Name, unread ?? Verdict.Unusable("This file does not hold a log's verifier key.", "该文件不是存证日志的验证公钥。"));
            yield break;
        }
        await foreach (var result in check(key)) yield return result;
    }

    private static async IAsyncEnumerable<(string, Verdict)> RowsAsync(
        string[] places, NoteVerifier key, [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancel)
    {
        foreach (var place in places)
        {
            if (!place.EndsWith(".ndjson", StringComparison.OrdinalIgnoreCase) || !File.Exists(place))
            {
                var (bytes, unread) = await Fetched.ReadAsync(place, ProofJsonContext.BytesMax, cancel);
                yield return (Fetched.Name(place), unread ?? RowCheck.Check(bytes, key));
                continue;
            }
            var file = new FileInfo(place);
            var (number, proofs) = (0, 0);
            await using var stream = file.OpenRead();
            await foreach (var line in Lines.ReadAsync(stream, ProofJsonContext.BytesMax, cancel))
            {
                number++;
                if (line is { Length: 0 }) continue;
                proofs++;
                yield return ($"{file.Name}:{number}", line is null
                    ? Verdict.Unusable("This line is too long to be a proof.", "该行过长，不可能是证明。")
                    : RowCheck.Check(line, key));
            }
            if (proofs == 0) yield return (file.Name, Verdict.Unusable("The file holds no proofs.", "文件中没有证明。"));
        }
    }

    private static async IAsyncEnumerable<(string, Verdict)> EachAsync(
        string[] places, Func<byte[], Verdict> check, [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancel)
    {
        foreach (var place in places)
        {
            var (bytes, unread) = await Fetched.ReadAsync(place, ProofJsonContext.BytesMax, cancel);
            yield return (Fetched.Name(place), unread ?? check(bytes!));
        }
    }

    private static async IAsyncEnumerable<(string, Verdict)> CheckpointsAsync(
        string[] places, NoteVerifier key, FileInfo[] trusted, int? quorum, [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancel)
    {
        var witnesses = new List<NoteVerifier>();
        foreach (var file in trusted)
        {
            var (bytes, unread) = Read(file, 4096);
            if (bytes is null || !NoteVerifier.TryParse(System.Text.Encoding.UTF8.GetString(bytes).Trim(), out var witness) || witness.Type != NoteKeyType.CosignatureV1)
            {
                yield return (file.Name, unread ?? Verdict.Unusable("This file does not hold a witness's key.", "该文件不是见证方的公钥。"));
                yield break;
            }
            witnesses.Add(witness);
        }
        await foreach (var result in EachAsync(places, bytes => CheckpointCheck.Check(bytes, key, witnesses, quorum ?? witnesses.Count), cancel)) yield return result;
    }

    private static async IAsyncEnumerable<(string, Verdict)> LogAsync(
        string place, FileInfo? from, FileInfo? to, NoteVerifier key, [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancel)
    {
        byte[]? older = null, newer = null;
        foreach (var kept in new[] { from, to })
        {
            if (kept is null) continue;
            var (bytes, unread) = Read(kept, SignedNote.BytesMax);
            if (unread is null && bytes is { Length: 0 }) unread = Verdict.Unusable("The checkpoint is empty.", "检查点文件为空。");
            if (unread is not null)
            {
                yield return (kept.Name, unread);
                yield break;
            }
            if (kept == from) older = bytes;
            else newer = bytes;
        }
        yield return (place, await LogCheck.CheckAsync(place, key, older, newer, cancel));
    }

    private static (byte[]? Bytes, Verdict? Unread) Read(FileInfo file, int bytesMax)
    {
        try
        {
            if (file.Length > bytesMax) return (null, Verdict.Unusable($"The file is longer than {bytesMax} bytes.", $"文件超过 {bytesMax} 字节。"));
            return (File.ReadAllBytes(file.FullName), null);
        }
        catch (Exception unread) when (unread is IOException or UnauthorizedAccessException)
        {
            return (null, Verdict.Unusable($"The file cannot be read: {unread.Message}", $"无法读取文件：{unread.Message}"));
        }
    }
}
