using System.Diagnostics;
using System.Globalization;
using Microsoft.Extensions.Hosting;

namespace Gongzhi.Tests.Cluster;

/// <summary>A silo in a process of its own, that can be killed and frozen.</summary>
internal sealed class SiloProcess : IDisposable
{
    public const string Verb = "silo", Kind = "test";

    private readonly Process _process;
    private readonly Task<string> _error;

    private SiloProcess(string name, Process process) => (Name, _process, _error) = (name, process, process.StandardError.ReadToEndAsync());

    public string Name { get; }

    /// <summary>What the other process does: serves until its standard input ends, which it also does when the test dies.</summary>
    public static async Task<int> ServeAsync(string name, string database)
    {
        using var host = TestSilo.Builder(TestSilo.Options(database), new NotingWork(Kind, name, new SeatJournal(database))).Build();
        await host.StartAsync();
        Console.WriteLine("ready");
        await Console.In.ReadToEndAsync();
        await host.StopAsync();
        return 0;
    }

    public static async Task<SiloProcess> StartAsync(string name, string database)
    {
        var start = new ProcessStartInfo(Environment.ProcessPath!) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        // The process that runs the tests is either the program itself or dotnet with the program's path.
        if (Path.GetFileNameWithoutExtension(start.FileName) == "dotnet")
            start.ArgumentList.Add(typeof(SiloProcess).Assembly.Location);
        foreach (var argument in new[] { Verb, name, database })
            start.ArgumentList.Add(argument);
        start.Environment["LC_ALL"] = "C.UTF-8";
        var silo = new SiloProcess(name, Process.Start(start)!);
        using var end = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        if (await silo._process.StandardOutput.ReadLineAsync(end.Token) == "ready")
            return silo;
        var said = await silo._error;
        silo.Dispose();
        throw new Xunit.Sdk.XunitException($"The silo {name} did not start: {said}");
    }

    /// <summary>SIGKILL.</summary>
    public void Kill() => _process.Kill();

    /// <summary>SIGSTOP: it stands still, its connections stay open.</summary>
    public Task FreezeAsync() => SignalAsync("STOP");

    public Task WakeAsync() => SignalAsync("CONT");

    /// <summary>Waits for its own end; answers the exit code and what it said.</summary>
    public async Task<(int Code, string Error)> ExitAsync(TimeSpan limit)
    {
        using var end = new CancellationTokenSource(limit);
        await _process.WaitForExitAsync(end.Token);
        return (_process.ExitCode, await _error);
    }

    public void Dispose()
    {
        if (!_process.HasExited)
            _process.Kill();
        _process.WaitForExit();
        _process.Dispose();
    }

    private async Task SignalAsync(string name)
    {
        using var kill = Process.Start("kill", ["-" + name, _process.Id.ToString(CultureInfo.InvariantCulture)]);
        await kill.WaitForExitAsync();
        Assert.Equal(0, kill.ExitCode);
    }
}
