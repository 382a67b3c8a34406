using Gongzhi.Verifier;

namespace Gongzhi.Node.Cli;

/// <summary>A sentence of the command line in the reader's language, as LC_ALL, LC_MESSAGES or LANG says. What the node answers is in that language too.</summary>
internal static class Say
{
    public static bool Chinese { get; } = TerminalLanguage.IsChinese();

    public static string In(string english, string chinese) => Chinese ? chinese : english;
}
