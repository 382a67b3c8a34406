using System.Diagnostics;

namespace Gongzhi.Tests.Cluster;

/// <summary>The real program, started where it cannot be.</summary>
internal static class ServedNode
{
    /// <summary>Runs <c>gongzhi serve</c> on a fresh directory until it ends by itself.</summary>
    /// <param name="settings">Settings by name, as the environment gives them.</param>
    /// <returns>The exit code, and the lines on standard error.</returns>
    public static async Task<(int Exit, IReadOnlyList<string> Error)> RunAsync(params (string Name, string? Value)[] settings)
    {
        var data = Directory.CreateTempSubdirectory("gongzhi-served-");
        var start = new ProcessStartInfo("dotnet") { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var argument in new[] { Path.Combine(AppContext.BaseDirectory, "gongzhi.dll"), "serve", "--data", data.FullName, "--urls", "http://127.0.0.1:0" })
            start.ArgumentList.Add(argument);
        start.Environment["LC_ALL"] = "C.UTF-8";
        foreach (var (name, value) in settings)
            start.Environment["GONGZHI__" + name.ToUpperInvariant()] = value;
        using var process = Process.Start(start)!;
        try
        {
            var (output, error) = (process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
            using var end = new CancellationTokenSource(TimeSpan.FromSeconds(90));
            await process.WaitForExitAsync(end.Token);
            await output;
            return (process.ExitCode, (await error).Split('\n', StringSplitOptions.RemoveEmptyEntries));
        }
        finally
        {
            if (!process.HasExited)
                process.Kill();
            await process.WaitForExitAsync();
            data.Delete(recursive: true);
        }
    }
}
