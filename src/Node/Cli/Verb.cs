using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;

namespace Gongzhi.Node.Cli;

/// <summary>A verb with what it does in both languages, and command lines that can be typed as they stand.</summary>
internal sealed class Verb(string name, string english, string chinese, params string[] examples) : Command(name, Say.In(english, chinese))
{
    public IReadOnlyList<string> Examples { get; } = examples;
}

/// <summary>The usual help, and under it the examples of the verb.</summary>
internal sealed class HelpWithExamples(HelpAction usual) : SynchronousCommandLineAction
{
    public override int Invoke(ParseResult parseResult)
    {
        var exit = usual.Invoke(parseResult);
        if (parseResult.CommandResult.Command is Verb { Examples.Count: > 0 } verb)
        {
            var output = parseResult.InvocationConfiguration.Output;
            output.WriteLine(Say.In("Examples:", "示例："));
            foreach (var example in verb.Examples)
                output.WriteLine("  gongzhi " + example);
            output.WriteLine();
        }
        return exit;
    }
}
