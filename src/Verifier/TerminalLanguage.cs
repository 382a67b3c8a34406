namespace Gongzhi.Verifier;

/// <summary>The language of whoever sits at the terminal.</summary>
public static class TerminalLanguage
{
    /// <summary>Whether to speak Chinese: what was asked for, else the first of LC_ALL, LC_MESSAGES and LANG that is set.</summary>
    /// <param name="asked">A language asked for on the command line, or null.</param>
    public static bool IsChinese(string? asked = null)
    {
        foreach (var variable in (ReadOnlySpan<string>)["LC_ALL", "LC_MESSAGES", "LANG"])
        {
            if (!string.IsNullOrEmpty(asked)) break;
            asked = Environment.GetEnvironmentVariable(variable);
        }
        return asked?.StartsWith("zh", StringComparison.OrdinalIgnoreCase) ?? false;
    }
}
