using System.Diagnostics;
using System.Net.Http.Json;
using System.Text.Json;

namespace Gongzhi.Tests.Process;

/// <summary>The program as a shell starts it, over a directory that outlives it.</summary>
internal sealed class RunningNode : IDisposable
{
    private const string Secret = "a-long-client-secret";

    /// <summary>The client that may do everything, as the command line takes it.</summary>
    public const string Client = "boot:" + Secret;

    private readonly System.Diagnostics.Process _process;

    private RunningNode(System.Diagnostics.Process process, HttpClient http) => (_process, Http) = (process, http);

    public HttpClient Http { get; }

    public static async Task<RunningNode> StartAsync(string data)
    {
        var start = new ProcessStartInfo("dotnet") { RedirectStandardOutput = true };
        foreach (var argument in new[] { Path.Combine(AppContext.BaseDirectory, "gongzhi.dll"), "serve", "--data", data, "--urls", "http://127.0.0.1:0", "--bootstrap-client", Client })
            start.ArgumentList.Add(argument);
        // A restart asks for a token at once, many times over.
        start.Environment["GONGZHI__TokensPerMinute"] = "0";
        var process = System.Diagnostics.Process.Start(start)!;
        try
        {
            string? line;
            while ((line = await process.StandardOutput.ReadLineAsync()) is not null && !line.Contains("listening on ", StringComparison.Ordinal))
            {
            }
            Assert.True(line is not null, "The node did not start; what it said is above.");
            // Read on, so that a full pipe never stops the node.
            _ = process.StandardOutput.ReadToEndAsync();
            var address = line!.Split("listening on ")[1].Split([' ', ','])[0];
            var http = new HttpClient { BaseAddress = new Uri(address), Timeout = TimeSpan.FromMinutes(2) };
            using var form = new FormUrlEncodedContent(new Dictionary<string, string> { ["grant_type"] = "client_credentials", ["client_id"] = "boot", ["client_secret"] = Secret });
            using var response = await http.PostAsync("/connect/token", form);
            var token = JsonDocument.Parse(await response.Content.ReadAsStringAsync()).RootElement.GetProperty("access_token").GetString();
            http.DefaultRequestHeaders.Authorization = new("Bearer", token);
            return new RunningNode(process, http);
        }
        catch
        {
            process.Kill();
            throw;
        }
    }

    /// <summary>SIGKILL: nothing is flushed, closed or finished.</summary>
    public void Kill()
    {
        _process.Kill();
        _process.WaitForExit();
    }

    public async Task<JsonElement> PostAsync(string path, object body)
    {
        using var response = await Http.PostAsJsonAsync(path, body);
        var text = await response.Content.ReadAsStringAsync();
        Assert.True(response.IsSuccessStatusCode, $"{path}: {(int)response.StatusCode} {text}");
        return JsonDocument.Parse(text).RootElement;
    }

    public async Task<JsonElement> GetAsync(string path) => JsonDocument.Parse(await Http.GetStringAsync(path)).RootElement;

    public void Dispose()
    {
        if (!_process.HasExited)
            Kill();
        _process.Dispose();
        Http.Dispose();
    }
}
