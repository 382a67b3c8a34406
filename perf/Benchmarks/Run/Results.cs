using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;

namespace Gongzhi.Perf;

/// <summary>Prints the table and keeps perf/RESULTS.md: a figure that was run replaces its own rows and section, the others stay as they were found.</summary>
internal static class Results
{
    private const string Columns = "| id | what | Gongzhi | peer or limit | ratio | goal | met |\n|---|---|---|---|---|---|---|\n";

    public static void Print(IEnumerable<Section> sections)
    {
        Console.WriteLine();
        Console.Write(Columns);
        foreach (var line in sections.SelectMany(s => s.Lines))
            Console.WriteLine(Row(line));
        foreach (var section in sections)
        {
            Console.WriteLine($"\n{section.Id} {section.Title}");
            foreach (var note in section.Notes)
                Console.WriteLine("  - " + note);
        }
    }

    public static void Write(string repository, IEnumerable<Section> sections, DateTimeOffset now)
    {
        var path = Path.Combine(repository, "perf", "RESULTS.md");
        var known = File.Exists(path) ? Parse(File.ReadAllText(path)) : [];
        foreach (var section in sections)
        {
            var text = new StringBuilder($"## {section.Id}: {section.Title}\n");
            text.Append(CultureInfo.InvariantCulture, $"{now:yyyy-MM-dd}, commit {Commit(repository)}. {Machine()}\n\n").Append(Columns);
            foreach (var line in section.Lines)
                text.Append(Row(line)).Append('\n');
            text.Append('\n');
            foreach (var note in section.Notes)
                text.Append("- ").Append(note).Append('\n');
            known[section.Id] = text.ToString();
        }
        var all = new StringBuilder("# Measured\n\nWritten by `./bench`; how to read and repeat it: [README](README.md). Each section says at which commit and on what it was measured; every ratio is against a peer or limit in the same run. "
            + "A ratio above 1 is in our favour. Times are medians (least–most).\n\n");
        foreach (var section in known)
            all.Append(section.Value.TrimEnd()).Append("\n\n");
        File.WriteAllText(path, all.ToString().TrimEnd() + "\n");
    }

    private static SortedDictionary<string, string> Parse(string text)
    {
        var sections = new SortedDictionary<string, string>(StringComparer.Ordinal);
        foreach (var part in text.Split("\n## ").Skip(1))
            sections[part[..part.IndexOf(':', StringComparison.Ordinal)]] = "## " + part;
        return sections;
    }

    private static string Row(Line l) => $"| {l.Id} | {l.What} | {l.Ours} | {l.Peer} | {l.Ratio} | {l.Goal} | {(l.Met is { } met ? met ? "yes" : "**no**" : "")} |";

    private static string Commit(string repository)
    {
        var commit = Output("git", repository, "rev-parse", "--short=12", "HEAD");
        // Only what is built counts; these results themselves always differ.
        return Output("git", repository, "status", "--porcelain", "--", "src", "perf/Benchmarks", "perf/Load", "perf/Peer").Length > 0 ? commit + " with uncommitted changes" : commit;
    }

    /// <summary>Cores, memory, disk and runtime; nothing that names the machine.</summary>
    private static string Machine()
    {
        var memory = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / (1L << 30);
        var disk = Output("sh", "/", "-c", "lsblk -dno ROTA $(findmnt -no SOURCE -T " + Path.GetTempPath() + ") 2>/dev/null | head -1");
        var kind = disk.Trim() switch { "0" => "solid-state or virtual disk", "1" => "rotating or virtual disk", _ => "unknown disk" };
        return $"{Environment.ProcessorCount} cores ({RuntimeInformation.ProcessArchitecture}), {memory} GB, {kind}, .NET {Environment.Version}.";
    }

    private static string Output(string program, string directory, params string[] arguments)
    {
        var start = new ProcessStartInfo(program) { RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = directory };
        foreach (var argument in arguments)
            start.ArgumentList.Add(argument);
        using var process = Process.Start(start)!;
        var text = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return text.Trim();
    }
}
