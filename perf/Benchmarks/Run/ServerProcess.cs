using System.Diagnostics;
using System.Globalization;
using System.Net.Http.Json;
using System.Text.Json;

namespace Gongzhi.Perf;

/// <summary>A program started by this one and ended by it, known by the line in which it says where it listens.</summary>
internal sealed class ServerProcess : IDisposable
{
    public const string Client = "bench", Secret = "a-client-secret-for-benchmarks";
    private readonly Process _process;

    private ServerProcess(Process process, Uri address, double listening) => (_process, Address, ListeningSeconds) = (process, address, listening);

    public Uri Address { get; }

    /// <summary>From the start of the process to its own word that it listens.</summary>
    public double ListeningSeconds { get; }

    /// <summary>The node as a shell starts it, on a free port, without limits on how often one caller may ask.</summary>
    public static Task<ServerProcess> NodeAsync(string data, params string[] more) => NodeAsync(data, [], more);

    /// <param name="data">Its data directory.</param>
    /// <param name="settings">Further settings by name, as the environment gives them.</param>
    /// <param name="more">Further arguments.</param>
    public static Task<ServerProcess> NodeAsync(string data, (string Name, string Value)[] settings, params string[] more) =>
        StartAsync("dotnet", settings, [Path.Combine(AppContext.BaseDirectory, "gongzhi.dll"), "serve", "--data", data, "--urls", "http://127.0.0.1:0", .. more]);

    public static Task<ServerProcess> StartAsync(string program, params string[] arguments) => StartAsync(program, [], arguments);

    public static async Task<ServerProcess> StartAsync(string program, (string Name, string Value)[] settings, string[] arguments)
    {
        var start = new ProcessStartInfo(program) { RedirectStandardOutput = true };
        foreach (var argument in arguments)
            start.ArgumentList.Add(argument);
        start.Environment["GONGZHI__TokensPerMinute"] = "0";
        start.Environment["GONGZHI__CallerRequestsPerSecond"] = "0";
        start.Environment["GONGZHI__AddressRequestsPerSecond"] = "0";
        foreach (var (name, value) in settings)
            start.Environment["GONGZHI__" + name] = value;
        var began = Stopwatch.GetTimestamp();
        var process = Process.Start(start)!;
        try
        {
            string? line;
            while ((line = await process.StandardOutput.ReadLineAsync()) is not null && !line.Contains("listening on ", StringComparison.Ordinal))
            {
            }
            var address = line?.Split("listening on ")[1].Split([' ', ','])[0] ?? throw new InvalidOperationException($"{program} did not start.");
            var seconds = Stopwatch.GetElapsedTime(began).TotalSeconds;
            // Read on, so that a full pipe never stops it.
            _ = process.StandardOutput.ReadToEndAsync();
            return new(process, new Uri(address), seconds);
        }
        catch
        {
            process.Kill();
            throw;
        }
    }

    public async Task<HttpClient> SignInAsync()
    {
        var http = new HttpClient { BaseAddress = Address };
        using var form = new FormUrlEncodedContent(new Dictionary<string, string> { ["grant_type"] = "client_credentials", ["client_id"] = Client, ["client_secret"] = Secret });
        using var response = await http.PostAsync("/connect/token", form);
        http.DefaultRequestHeaders.Authorization = new("Bearer", (await response.Content.ReadFromJsonAsync<JsonElement>()).GetProperty("access_token").GetString());
        return http;
    }

    /// <summary>Bytes of memory that are really there (resident set).</summary>
    public long ResidentBytes()
    {
        var line = File.ReadLines(string.Create(CultureInfo.InvariantCulture, $"/proc/{_process.Id}/status")).First(l => l.StartsWith("VmRSS:", StringComparison.Ordinal));
        return long.Parse(line["VmRSS:".Length..].Replace("kB", "", StringComparison.Ordinal).Trim(), CultureInfo.InvariantCulture) * 1024;
    }

    public double CpuSeconds()
    {
        _process.Refresh();
        return _process.TotalProcessorTime.TotalSeconds;
    }

    private bool _stopped;

    /// <summary>Whether it is there and was not frozen by <see cref="Signal"/>.</summary>
    public bool Answers => !_process.HasExited && !_stopped;

    /// <summary>Whether <see cref="Signal"/> has frozen it.</summary>
    public bool Frozen => !_process.HasExited && _stopped;

    /// <summary>Waits for its own end; answers the exit code.</summary>
    public async Task<int> ExitAsync()
    {
        await _process.WaitForExitAsync();
        return _process.ExitCode;
    }

    /// <summary>Ends it as a power cut would.</summary>
    public void Kill() => _process.Kill();

    /// <summary>Sends it a signal by name: STOP freezes it, CONT wakes it.</summary>
    public void Signal(string name)
    {
        if (_process.HasExited)
            return;
        _stopped = name == "STOP";
        using var kill = Process.Start("kill", ["-" + name, _process.Id.ToString(CultureInfo.InvariantCulture)]);
        kill.WaitForExit();
    }

    public void Dispose()
    {
        if (_process.HasExited)
        {
            _process.Dispose();
            return;
        }
        // Asked first, so that it can leave its files as it should; it has half a minute.
        using (var kill = Process.Start("kill", ["-TERM", _process.Id.ToString(CultureInfo.InvariantCulture)]))
            kill.WaitForExit();
        if (!_process.WaitForExit(30_000))
            _process.Kill();
        _process.Dispose();
    }
}
