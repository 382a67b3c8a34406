using System.Text.RegularExpressions;
using ArchUnitNET.Domain;
using ArchUnitNET.Loader;

namespace Gongzhi.Tests.Architecture;

/// <summary>Which part may know which, read from the compiled assemblies; docs/design says why.</summary>
public sealed partial class DependencyTests
{
    private static readonly Dictionary<string, string[]> Allowed = new()
    {
        ["Gongzhi.Analysis"] = [],
        ["Gongzhi.Ledger"] = [],
        ["Gongzhi.Privacy"] = [],
        ["Gongzhi.SampleCity"] = [],
        ["Gongzhi.Ui"] = [],
        ["Gongzhi.Core"] = ["Gongzhi.Analysis", "Gongzhi.Ledger", "Gongzhi.Privacy"],
        ["Gongzhi.Capabilities"] = ["Gongzhi.Core", "Gongzhi.Ledger", "Gongzhi.Privacy", "Gongzhi.Ui"],
        ["gongzhi"] = ["Gongzhi.Capabilities", "Gongzhi.Core", "Gongzhi.Ledger", "Gongzhi.Privacy", "Gongzhi.SampleCity", "Gongzhi.Ui",
            // The page "check a file" is the auditor's own check, not a second one.
            "gongzhi-verify"],
        ["gongzhi-verify"] = ["Gongzhi.Ledger"],
    };

    // Who speaks SQL to a store: everybody else goes through these.
    private static readonly Dictionary<string, string[]> Stores = new()
    {
        ["Microsoft.Data.Sqlite"] = ["Gongzhi.Core.Storage"],
        ["Npgsql"] = ["Gongzhi.Core.Storage", "Gongzhi.Node.Cluster"],
        // The tail's tables are filled row by row through its appender.
        ["DuckDB"] = ["Gongzhi.Core.Query", "Gongzhi.Core.Records.TailRows", "Gongzhi.Core.Records.TailTables"],
        ["Amazon"] = ["Gongzhi.Core.Storage.Segments"],
    };

    private static readonly Lazy<ArchUnitNET.Domain.Architecture> Compiled = new(() =>
        new ArchLoader().LoadAssemblies([.. Allowed.Keys.Select(System.Reflection.Assembly.Load)]).Build());

    public static TheoryData<string> Projects => [.. Allowed.Keys];

    [Fact]
    public void Every_project_is_listed_here() =>
        Assert.Equal(Allowed.Count, Directory.GetFiles(Path.Combine(Repository.Root, "src"), "*.csproj", SearchOption.AllDirectories).Length);

    [Theory, MemberData(nameof(Projects))]
    public void A_project_refers_only_to_those_below_it_and_never_to_test_code(string project)
    {
        var references = System.Reflection.Assembly.Load(project).GetReferencedAssemblies().Select(a => a.Name!).ToArray();
        Assert.DoesNotContain(references, r => Allowed.ContainsKey(r) && !Allowed[project].Contains(r));
        Assert.DoesNotContain(references, r => r.StartsWith("xunit", StringComparison.OrdinalIgnoreCase) || r.StartsWith("CsCheck", StringComparison.Ordinal));
    }

    [Theory, MemberData(nameof(Projects))]
    public void The_stores_are_spoken_to_from_few_places(string project)
    {
        foreach (var (store, places) in Stores)
        {
            Assert.Contains(Uses(), u => u.To.FullName.StartsWith(store + ".", StringComparison.Ordinal));
            var own = Uses().Where(u => u.From.Assembly.Name.Split(',')[0] == project).ToList();
            Assert.NotEmpty(own);
            var strangers = own.Where(u => u.To.FullName.StartsWith(store + ".", StringComparison.Ordinal)
                    && !places.Any(p => u.From.FullName == p || u.From.FullName.StartsWith(p + ".", StringComparison.Ordinal) || u.From.FullName.StartsWith(p + "+", StringComparison.Ordinal)))
                .Select(u => $"{u.From.FullName} uses {u.To.FullName}").Distinct().Order(StringComparer.Ordinal).ToList();
            Assert.True(strangers.Count == 0, string.Join('\n', strangers));
        }
    }

    [Fact]
    public void Capabilities_know_the_http_folder_and_never_each_other()
    {
        var edges = Uses().Select(u => (From: Capability(u.From.FullName), To: Capability(u.To.FullName))).Where(e => e.From is not null && e.To is not null && e.From != e.To).Distinct().ToArray();
        Assert.Contains(edges, e => e.To == "Http");
        Assert.DoesNotContain(edges, e => e.To != "Http");
        var folders = Directory.GetDirectories(Path.Combine(Repository.Root, "src", "Capabilities")).Select(d => Path.GetFileName(d)!).Where(d => d is not ("bin" or "obj")).ToArray();
        Assert.All(folders, folder =>
        {
            Assert.True(File.Exists(Path.Combine(Repository.Root, "src", "Capabilities", folder, "README.md")), $"{folder} has no README.md.");
            Assert.True(folder == "Http" || File.Exists(Path.Combine(Repository.Root, "src", "Capabilities", folder, folder + "Module.cs")), $"{folder} has no {folder}Module.cs.");
        });
    }

    [Fact]
    public void Inside_core_the_edges_between_parts_are_the_ones_written_down()
    {
        var edges = Uses().Select(u => (From: Part(u.From.FullName), To: Part(u.To.FullName)))
            .Where(e => e.From is not null && e.To is not null && e.From != e.To)
            .Select(e => $"{e.From} -> {e.To}").Distinct().Order(StringComparer.Ordinal).ToArray();
        var path = Path.Combine(Repository.Root, "tests", "Architecture", "edges.verified.txt");
        if (Environment.GetEnvironmentVariable("GONGZHI_ACCEPT") == "1")
            File.WriteAllLines(path, edges);
        var written = File.Exists(path) ? File.ReadAllLines(path) : [];
        Assert.True(edges.Length > 5, "No edges were found, so nothing was checked.");
        var (added, gone) = (edges.Except(written).ToArray(), written.Except(edges).ToArray());
        Assert.True(added.Length + gone.Length == 0,
            $"New edges in Core: {string.Join(", ", added)}; gone: {string.Join(", ", gone)}. "
            + "If that is meant, run this test once with GONGZHI_ACCEPT=1 and commit tests/Architecture/edges.verified.txt.");
    }

    private static IEnumerable<(IType From, IType To)> Uses() =>
        Compiled.Value.Types.SelectMany(t => t.Dependencies.Select(d => (t, d.Target)));

    private static string? Part(string type) => CorePart().Match(type) is { Success: true } m ? m.Groups[1].Value : null;

    private static string? Capability(string type) => CapabilityPart().Match(type) is { Success: true } m ? m.Groups[1].Value : null;

    [GeneratedRegex(@"^Gongzhi\.Capabilities\.([A-Za-z]+)\.")]
    private static partial Regex CapabilityPart();

    [GeneratedRegex(@"^Gongzhi\.Core\.([A-Za-z]+)\.")]
    private static partial Regex CorePart();
}
