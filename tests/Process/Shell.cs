using System.Diagnostics;
using System.Text;

namespace Gongzhi.Tests.Process;

/// <summary>One command line as a shell runs it: a process of its own, its exit code and what it printed.</summary>
internal sealed record Shell(int Exit, string Output, string Error)
{
    /// <param name="program"><c>gongzhi</c> or <c>gongzhi-verify</c>.</param>
    /// <param name="environment">Beside what this process has; the language is English unless said otherwise.</param>
    /// <param name="arguments">The words after the program's name.</param>
    public static async Task<Shell> RunAsync(string program, (string Name, string Value)[] environment, params string[] arguments)
    {
        var start = new ProcessStartInfo("dotnet") { RedirectStandardOutput = true, RedirectStandardError = true, StandardOutputEncoding = Encoding.UTF8, StandardErrorEncoding = Encoding.UTF8 };
        start.ArgumentList.Add(Path.Combine(AppContext.BaseDirectory, program + ".dll"));
        foreach (var argument in arguments)
            start.ArgumentList.Add(argument);
        start.Environment["LC_ALL"] = "C.UTF-8";
        foreach (var (name, value) in environment)
            start.Environment[name] = value;
        using var process = System.Diagnostics.Process.Start(start)!;
        try
        {
            var (output, error) = (process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
            await process.WaitForExitAsync().WaitAsync(TimeSpan.FromMinutes(5));
            return new Shell(process.ExitCode, await output, await error);
        }
        finally
        {
            if (!process.HasExited)
                process.Kill();
        }
    }

    /// <summary>The output of a command that must succeed.</summary>
    public string Demand()
    {
        Assert.True(Exit == 0, $"exit code {Exit}\n{Output}\n{Error}");
        return Output;
    }
}
