using System.CommandLine;

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
}

/// <summary>The command line: one verb a file.</summary>
public static class GongzhiCommand
{
    public static RootCommand Create() => new(
        "Gongzhi (共治): an open governance data node.\n" +
        "Exit codes: 0 done, 1 refused, 2 wrong usage, 3 unavailable (try again).")
    {
        ServeCommand.Create(),
        ImportCommand.Create(),
        QueryCommand.Create(),
        QueryCommand.CreateExport(),
        KeptLogin.Create(),
    };
}
