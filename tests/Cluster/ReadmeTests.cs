using System.Diagnostics;
using System.Globalization;
using System.Net.Http.Json;
using System.Text.Json;
using System.Text.RegularExpressions;
using Gongzhi.Tests.Shared;

namespace Gongzhi.Tests.Cluster;

/// <summary>The README's three machines, started with its own lines: changed are the server's address, the names in it and the ports, and the program is the one that was built with the tests.</summary>
public sealed partial class ReadmeTests : IAsyncDisposable
{
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(1);

    private readonly DirectoryInfo _place = Directory.CreateTempSubdirectory("gongzhi-readme-");
    private readonly List<Process> _machines = [];

    [Fact]
    public async Task Three_machines_start_with_its_lines_and_show_what_the_others_acknowledged()
    {
        Assert.SkipWhen(PostgresServer.Missing is not null, PostgresServer.Missing ?? "");
        var lines = Block("README.md");
        Assert.Equal(lines.Select(Command), Block("README.zh-CN.md").Select(Command));

        await using var postgres = await PostgresServer.StartAsync(durable: false);
        // A role that owns its database and may nothing else, as there.
        foreach (Match statement in Statement().Matches(lines[0]))
            await postgres.ExecuteAsync(statement.Groups[1].Value.Replace("gongzhi", "city", StringComparison.Ordinal));
        var machines = new List<Uri>();
        var prepared = lines.TakeWhile(l => !l.Contains("./run", StringComparison.Ordinal)).Skip(1)
            .Select(l => l.Replace("Host=localhost;Database=gongzhi;Username=gongzhi;", $"Host=127.0.0.1;Port={postgres.Port.ToString(CultureInfo.InvariantCulture)};Database=city;Username=city;", StringComparison.Ordinal)).ToList();
        Assert.Contains(prepared, l => l.Contains("Username=city", StringComparison.Ordinal));
        await RunAsync(string.Join('\n', prepared));
        foreach (var line in lines.Where(l => l.Contains("./run", StringComparison.Ordinal)))
            machines.Add(await StartAsync(Command(line)));
        Assert.Equal(3, machines.Count);

        using var one = await SignInAsync(machines[0]);
        using (var put = await one.PutAsJsonAsync("/api/v1/datasets/notes", new { title = new { en = "notes" }, owner = "node", schema = new { fields = new[] { new { name = "v", type = "string" } } } }))
            Assert.True(put.IsSuccessStatusCode, await put.Content.ReadAsStringAsync());
        using (var grant = await one.PostAsJsonAsync("/api/v1/grants", new { dataset = "notes", grantee = new { party = "client:demo" }, purposes = new[] { "check" }, fields = new { v = "plain" } }))
            Assert.True(grant.IsSuccessStatusCode, await grant.Content.ReadAsStringAsync());
        using var two = await SignInAsync(machines[1]);
        using var rows = new StringContent("v\nacknowledged\n", null, "text/csv");
        using (var kept = await two.PostAsync("/api/v1/datasets/notes/records", rows))
            Assert.True(kept.IsSuccessStatusCode, await kept.Content.ReadAsStringAsync());
        using var three = await SignInAsync(machines[2]);
        await SeesAsync(three);

        // One is killed, and the others go on.
        _machines[0].Kill(entireProcessTree: true);
        await SeesAsync(three);
        using var more = new StringContent("v\nafter\n", null, "text/csv");
        using var later = await three.PostAsync("/api/v1/datasets/notes/records", more);
        Assert.True(later.IsSuccessStatusCode, await later.Content.ReadAsStringAsync());

        static async Task SeesAsync(HttpClient http)
        {
            using var asked = await http.PostAsJsonAsync("/api/v1/query", new { dataset = "notes", purpose = "check", fields = new[] { "v" } });
            Assert.Contains("acknowledged", await asked.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var machine in _machines)
        {
            if (!machine.HasExited)
                machine.Kill(entireProcessTree: true);
            await machine.WaitForExitAsync();
            machine.Dispose();
        }
        _place.Delete(recursive: true);
    }

    /// <summary>The lines of the first block of commands that names a cluster.</summary>
    private static List<string> Block(string page)
    {
        var blocks = File.ReadAllText(Path.Combine(Repository.Root, page)).Split("```sh\n").Skip(1).Select(b => b[..b.IndexOf("```", StringComparison.Ordinal)]);
        return [.. blocks.First(b => b.Contains("GONGZHI__CLUSTER=", StringComparison.Ordinal)).Split('\n', StringSplitOptions.RemoveEmptyEntries)];
    }

    private static string Command(string line) => line.Split("      #")[0];

    private Process Shell(string script)
    {
        var start = new ProcessStartInfo("bash", ["-c", script]) { WorkingDirectory = _place.FullName, RedirectStandardOutput = true, RedirectStandardError = true };
        return Process.Start(start)!;
    }

    private async Task RunAsync(string script)
    {
        using var shell = Shell(script);
        var said = shell.StandardError.ReadToEndAsync();
        await shell.WaitForExitAsync();
        Assert.True(shell.ExitCode == 0, await said);
    }

    private async Task<Uri> StartAsync(string line)
    {
        Assert.Matches(Port(), line);
        var machine = Shell(Port().Replace(line, "--port " + Balancer.FreePort().ToString(CultureInfo.InvariantCulture))
            .Replace("./run", $"exec dotnet '{Path.Combine(AppContext.BaseDirectory, "gongzhi.dll")}' serve", StringComparison.Ordinal));
        _machines.Add(machine);
        var said = machine.StandardError.ReadToEndAsync();
        string? printed;
        while ((printed = await machine.StandardOutput.ReadLineAsync().WaitAsync(Limit)) is not null && !printed.Contains("listening on ", StringComparison.Ordinal))
        {
        }
        if (printed is null)
            Assert.Fail("It did not start: " + await said);
        _ = machine.StandardOutput.ReadToEndAsync();
        return new Uri(printed!.Split("listening on ")[1].Split([' ', ','])[0]);
    }

    private static async Task<HttpClient> SignInAsync(Uri machine)
    {
        var http = new HttpClient { BaseAddress = machine };
        using var form = new FormUrlEncodedContent(new Dictionary<string, string> { ["grant_type"] = "client_credentials", ["client_id"] = "demo", ["client_secret"] = "change-me-please" });
        using var response = await http.PostAsync("/connect/token", form);
        var text = await response.Content.ReadAsStringAsync();
        Assert.True(response.IsSuccessStatusCode, text);
        http.DefaultRequestHeaders.Authorization = new("Bearer", JsonDocument.Parse(text).RootElement.GetProperty("access_token").GetString());
        return http;
    }

    [GeneratedRegex("-c \"([^\"]+)\"")]
    private static partial Regex Statement();

    [GeneratedRegex(@"--port \d+")]
    private static partial Regex Port();
}
