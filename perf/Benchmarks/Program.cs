using System.Runtime.InteropServices;
using Gongzhi.Perf;
using Gongzhi.Perf.Figures;

(string Id, Func<Bench, Task<Section>> Run)[] figures =
[
    ("P1-csv", P1Contribute.CsvAsync),
    ("P1-formats", P1Contribute.FormatsAsync),
    ("P1-growth", P1Contribute.GrowthAsync),
    ("P2-raw", P2Query.RawAsync),
    ("P2-postgres", P2Query.PostgresAsync),
    ("P3", P3Ledger.RunAsync),
    ("P5", P5Policy.RunAsync),
    ("P6", P6Reports.RunAsync),
    ("P1-cluster", ClusterFigures.ContributeAsync),
    ("P2-cluster", ClusterFigures.QueryAsync),
    ("P3-cluster", ClusterFigures.LedgerAsync),
    ("P6-cluster", ClusterFigures.ReportsAsync),
    ("faults", Recovery.RunAsync),
    ("P8", P8Page.RunAsync),
    ("P9", P9Start.RunAsync),
];

var (wanted, quick, size, repository, postgres) = (new List<string>(), false, (int?)null, "", "");
for (var i = 0; i < args.Length; i++)
{
    switch (args[i])
    {
        case "--quick": quick = true; break;
        case "--size" when i + 1 < args.Length && int.TryParse(args[i + 1], System.Globalization.CultureInfo.InvariantCulture, out var n) && n >= 1_000:
            size = n;
            i++;
            break;
        case "--repository" when i + 1 < args.Length: repository = args[++i]; break;
        case "--postgres" when i + 1 < args.Length: postgres = args[++i]; break;
        case var id when figures.Any(f => Matches(f.Id, id)): wanted.Add(id); break;
        default:
            Console.Error.WriteLine($"\"{args[i]}\" is neither a figure ({string.Join(", ", figures.Select(f => f.Id))}, or the first part of these) nor an option (--quick, --size N with N at least 1000).");
            return 2;
    }
}
var sections = new List<Section>();
Bench? running = null;
// Interrupted, the database must not stay behind.
using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, StopAsync);
using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, StopAsync);
foreach (var (id, run) in figures.Where(f => wanted.Count == 0 || wanted.Exists(w => Matches(f.Id, w))))
{
    Console.Error.WriteLine(id);
    await using var bench = new Bench { Quick = quick, Size = size, Repository = repository, PostgresPrograms = postgres };
    running = bench;
    sections.Add(await run(bench));
    // A smoke run or another size is no result.
    if (!quick && size is null)
        Results.Write(repository, sections[^1..], TimeProvider.System.GetUtcNow());
}
Results.Print(sections);
return 0;

async void StopAsync(PosixSignalContext signal)
{
    signal.Cancel = true;
    if (running is not null)
        await running.DisposeAsync();
    Environment.Exit(130);
}

static bool Matches(string figure, string wanted) =>
    figure.Equals(wanted, StringComparison.OrdinalIgnoreCase) || figure.StartsWith(wanted + "-", StringComparison.OrdinalIgnoreCase);
