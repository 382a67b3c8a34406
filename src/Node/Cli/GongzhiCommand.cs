using System.CommandLine;
using System.CommandLine.Help;

namespace Gongzhi.Node.Cli;

/// <summary>What the program answers to the shell.</summary>
public static class ExitCode
{
    /// <summary>Done.</summary>
    public const int Ok = 0;

    /// <summary>Understood and refused: bad data, no permission, a setting that does not fit.</summary>
    public const int Refused = 1;

    /// <summary>The command line itself is wrong.</summary>
    public const int Usage = 2;

    /// <summary>The node cannot be reached or cannot take changes; trying again is right.</summary>
    public const int Unavailable = 3;

    /// <summary>What the data directory holds is not what was committed; a person has to look.</summary>
    public const int Damaged = 4;
}

/// <summary>The command line: one verb a file.</summary>
public static class GongzhiCommand
{
    public static RootCommand Create()
    {
        var root = new RootCommand(Say.In(
            "Gongzhi (共治): an open governance data node.\nExit codes: 0 done, 1 refused, 2 wrong usage, 3 unavailable (try again), 4 the data directory is damaged.",
            "共治：开放的治理数据节点。\n退出码：0 完成，1 被拒绝，2 用法有误，3 暂不可用（请重试），4 数据目录已损坏。"))
        {
            ServeCommand.Create(),
            SampleCommand.Create(),
            ImportCommand.Create(),
            QueryCommand.Create(),
            QueryCommand.CreateExport(),
            VerifyCommand.Create(),
            AdminCommand.Create(),
            KeptLogin.Create(),
        };
        var help = root.Options.OfType<HelpOption>().Single();
        help.Action = new HelpWithExamples((HelpAction)help.Action!);
        return root;
    }

    /// <summary>Runs one command line. Wrong usage is said in a line on standard error, not in a page of help.</summary>
    public static async Task<int> RunAsync(string[] args)
    {
        var parsed = Create().Parse(args);
        if (parsed.Errors.Count > 0)
        {
            foreach (var message in parsed.Errors.Select(e => e.Message).Distinct())
                await Console.Error.WriteLineAsync(message).ConfigureAwait(false);
            var verb = string.Join(' ', parsed.CommandResult.Command.Parents.OfType<Verb>().Select(v => v.Name).Append(parsed.CommandResult.Command is Verb own ? own.Name : ""));
            await Console.Error.WriteLineAsync(Say.In($"See: gongzhi {verb} --help", $"参见：gongzhi {verb} --help").Replace("  ", " ", StringComparison.Ordinal)).ConfigureAwait(false);
            return ExitCode.Usage;
        }
        // A node that is told to stop goes on for a while, finishes what it took and hands over. It has a limit of its own (Draining), which this must never cut short.
        return await parsed.InvokeAsync(new InvocationConfiguration { ProcessTerminationTimeout = TimeSpan.FromMinutes(15) }).ConfigureAwait(false);
    }
}
