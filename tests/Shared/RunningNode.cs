using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Net.Http.Json;
using System.Text.Json;

namespace Gongzhi.Tests.Shared;

/// <summary>The program as a shell starts it, over a directory that outlives it.</summary>
public sealed class RunningNode : IDisposable
{
    private const string Secret = "a-long-client-secret";
    private const int SaidMax = 200;

    private static readonly TimeSpan StartLimit = TimeSpan.FromMinutes(5);

    /// <summary>The client that may do everything, as the command line takes it.</summary>
    public const string Client = "boot:" + Secret;

    private readonly System.Diagnostics.Process _process;
    private readonly ConcurrentQueue<string> _said = new();
    private readonly ConcurrentQueue<string> _printed = new();
    private TaskCompletionSource _more = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private RunningNode(System.Diagnostics.Process process) => _process = process;

    public HttpClient Http { get; } = new() { Timeout = TimeSpan.FromMinutes(30) };

    public string Token { get; private set; } = "";

    public int Id => _process.Id;

    /// <summary>The last lines of its log.</summary>
    public string Said => string.Join('\n', _said);

    /// <param name="data">Its data directory.</param>
    /// <param name="settings">Further settings by name, as the environment gives them.</param>
    public static Task<RunningNode> StartAsync(string data, params (string Name, string Value)[] settings) => StartAsync(data, [], settings);

    /// <param name="data">Its data directory.</param>
    /// <param name="more">Further arguments.</param>
    /// <param name="settings">Further settings by name, as the environment gives them.</param>
    public static async Task<RunningNode> StartAsync(string data, string[] more, params (string Name, string Value)[] settings)
    {
        if (!settings.Any(s => s.Name.StartsWith("Cluster", StringComparison.Ordinal)))
            TestKeys.Give(data);
        var node = Spawn([], "127.0.0.1", data, more, settings);
        try
        {
            Assert.True(await node.ListeningAsync(), "The node did not start:\n" + node.Said);
            await node.SignInAsync();
            return node;
        }
        catch
        {
            node.Dispose();
            throw;
        }
    }

    /// <summary>Waits until it listens; false when its output ended before.</summary>
    public async Task<bool> ListeningAsync()
    {
        string? line;
        while ((line = await _process.StandardOutput.ReadLineAsync().WaitAsync(StartLimit)) is not null && !line.Contains("listening on ", StringComparison.Ordinal))
        {
        }
        if (line is null)
            return false;
        // Read on, so that a full pipe never stops the node.
        _ = ReadOnAsync();
        Http.BaseAddress = new Uri(line.Split("listening on ")[1].Split([' ', ','])[0]);
        return true;
    }

    /// <summary>The first line after its address that has this in it.</summary>
    /// <param name="part">What the line has in it.</param>
    /// <param name="limit">How long nothing may be printed; half a minute unless said otherwise.</param>
    public async Task<string> PrintedAsync(string part, TimeSpan? limit = null)
    {
        while (true)
        {
            var more = _more.Task;
            if (_printed.FirstOrDefault(l => l.Contains(part, StringComparison.Ordinal)) is { } line)
                return line;
            await more.WaitAsync(limit ?? TimeSpan.FromSeconds(30));
        }
    }

    private async Task ReadOnAsync()
    {
        while (await _process.StandardOutput.ReadLineAsync() is { } line)
        {
            if (_printed.Count < SaidMax)
                _printed.Enqueue(line);
            Interlocked.Exchange(ref _more, new(TaskCreationOptions.RunContinuationsAsynchronously)).TrySetResult();
        }
    }

    /// <summary>A start that may be refused, or is to be killed before it listens.</summary>
    public static RunningNode Spawn(string data, params (string Name, string Value)[] settings) => Spawn([], "127.0.0.1", data, [], settings);

    /// <summary>Likewise, by way of another program (one that enters a network namespace), on another address.</summary>
    public static RunningNode Spawn(string[] through, string address, string data, string[] more, params (string Name, string Value)[] settings) =>
        Spawn(through, address, 0, Path.Combine(AppContext.BaseDirectory, "gongzhi.dll"), data, more, settings);

    /// <summary>Likewise, on a port of one's choice (0: any that is free), and another build of the program.</summary>
    public static RunningNode Spawn(string[] through, string address, int port, string program, string data, string[] more, params (string Name, string Value)[] settings)
    {
        string[] command = [.. through, "dotnet", program, "serve", "--data", data, "--urls", string.Create(CultureInfo.InvariantCulture, $"http://{address}:{port}"), "--bootstrap-client", Client, .. more];
        var start = new ProcessStartInfo(command[0]) { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var argument in command[1..])
            start.ArgumentList.Add(argument);
        // A restart asks for a token at once, many times over.
        start.Environment["GONGZHI__TokensPerMinute"] = "0";
        foreach (var (name, value) in settings)
            start.Environment["GONGZHI__" + name] = value;
        var node = new RunningNode(System.Diagnostics.Process.Start(start)!);
        node._process.ErrorDataReceived += (_, line) =>
        {
            if (line.Data is null)
                return;
            node._said.Enqueue(line.Data);
            if (node._said.Count > SaidMax)
                node._said.TryDequeue(out string? _);
        };
        node._process.BeginErrorReadLine();
        return node;
    }

    public async Task SignInAsync()
    {
        try
        {
            Token = await SignInAsync(Http);
        }
        catch (Xunit.Sdk.XunitException e)
        {
            throw new Xunit.Sdk.XunitException(e.Message + "\n" + Said);
        }
    }

    /// <summary>Likewise, wherever a client's requests go; answers the token that it sends from then on.</summary>
    public static async Task<string> SignInAsync(HttpClient http)
    {
        using var form = new FormUrlEncodedContent(new Dictionary<string, string> { ["grant_type"] = "client_credentials", ["client_id"] = "boot", ["client_secret"] = Secret });
        using var response = await http.PostAsync("/connect/token", form);
        var text = await response.Content.ReadAsStringAsync();
        Assert.True(response.IsSuccessStatusCode, text);
        var token = JsonDocument.Parse(text).RootElement.GetProperty("access_token").GetString()!;
        http.DefaultRequestHeaders.Authorization = new("Bearer", token);
        return token;
    }

    /// <summary>SIGKILL: nothing is flushed, closed or finished.</summary>
    public void Kill()
    {
        _process.Kill();
        _process.WaitForExit();
    }

    /// <summary>SIGSTOP: it stands still, and its connections stay open.</summary>
    public Task FreezeAsync() => SignalAsync("STOP");

    /// <summary>SIGCONT.</summary>
    public Task WakeAsync() => SignalAsync("CONT");

    /// <summary>SIGTERM: it hands over and ends.</summary>
    public Task TerminateAsync() => SignalAsync("TERM");

    private async Task SignalAsync(string name)
    {
        using var kill = System.Diagnostics.Process.Start("kill", ["-" + name, Id.ToString(CultureInfo.InvariantCulture)]);
        await kill.WaitForExitAsync();
        Assert.Equal(0, kill.ExitCode);
    }

    public bool HasExited => _process.HasExited;

    /// <summary>Waits for its own end; answers the exit code.</summary>
    public async Task<int> ExitAsync()
    {
        await _process.WaitForExitAsync();
        return _process.ExitCode;
    }

    /// <summary>The most memory it ever had, in bytes, by the kernel's count.</summary>
    public long PeakBytes() => long.Parse(
        File.ReadLines($"/proc/{Id}/status").First(l => l.StartsWith("VmHWM:", StringComparison.Ordinal))["VmHWM:".Length..].Replace("kB", "", StringComparison.Ordinal).Trim(),
        CultureInfo.InvariantCulture) * 1_024;

    public Task DefineAsync(string dataset, bool personal, params (string Name, string Type)[] fields) => DefineAsync(dataset, personal, [], fields);

    /// <param name="dataset">Its id.</param>
    /// <param name="personal">Whether its rows are salted.</param>
    /// <param name="primaryKey">Fields that no two current rows share; none for no key.</param>
    /// <param name="fields">Names and types.</param>
    public async Task DefineAsync(string dataset, bool personal, string[] primaryKey, params (string Name, string Type)[] fields)
    {
        using var put = await Http.PutAsJsonAsync("/api/v1/datasets/" + dataset, new
        {
            title = new { en = dataset },
            owner = "node",
            personal,
            schema = new { fields = fields.Select(f => new { name = f.Name, type = f.Type }).ToArray(), primaryKey },
        });
        Assert.True(put.IsSuccessStatusCode, await put.Content.ReadAsStringAsync());
        await PostAsync("/api/v1/grants", new { dataset, grantee = new { party = "client:boot" }, purposes = new[] { "check" }, fields = fields.ToDictionary(f => f.Name, _ => "plain") });
    }

    public async Task<JsonElement> PostAsync(string path, object body)
    {
        using var response = await Http.PostAsJsonAsync(path, body);
        var text = await response.Content.ReadAsStringAsync();
        Assert.True(response.IsSuccessStatusCode, $"{path}: {(int)response.StatusCode} {text}");
        return JsonDocument.Parse(text).RootElement;
    }

    public async Task<JsonElement> GetAsync(string path) => JsonDocument.Parse(await Http.GetStringAsync(path)).RootElement;

    /// <summary>Contributes a body; answers the status and what was said.</summary>
    public async Task<(int Status, JsonElement Answer)> ContributeAsync(string dataset, HttpContent content, string? key = null, string query = "")
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, $"/api/v1/datasets/{dataset}/records{query}") { Content = content };
        if (key is not null)
            request.Headers.Add("Idempotency-Key", key);
        using var response = await Http.SendAsync(request);
        var text = await response.Content.ReadAsStringAsync();
        Assert.True(text.StartsWith('{'), $"{(int)response.StatusCode} {text}");
        return ((int)response.StatusCode, JsonDocument.Parse(text).RootElement);
    }

    /// <summary>The lines of a CSV answer, without its header.</summary>
    public async Task<string[][]> QueryAsync(object question)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, "/api/v1/query") { Content = JsonContent.Create(question) };
        request.Headers.Accept.ParseAdd("text/csv");
        using var response = await Http.SendAsync(request);
        var text = await response.Content.ReadAsStringAsync();
        Assert.True(response.IsSuccessStatusCode, $"{(int)response.StatusCode} {text}\n{Said}");
        return [.. text.Split("\r\n", StringSplitOptions.RemoveEmptyEntries).Skip(1).Select(line => line.Split(',').Select(c => c.Trim('"')).ToArray())];
    }

    public void Dispose()
    {
        if (!_process.HasExited)
            Kill();
        _process.Dispose();
        Http.Dispose();
    }
}
