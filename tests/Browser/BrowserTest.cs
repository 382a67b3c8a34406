namespace Gongzhi.Tests.Browser;

/// <summary>Opens visits, pictures them when the test fails, and fails the test for what no page may do.</summary>
public abstract class BrowserTest(Site site) : IAsyncLifetime
{
    private readonly List<Visit> _visits = [];

    protected Site Site { get; } = site;

    /// <summary>Both languages at phone and desk width.</summary>
    public static TheoryData<string, int> Views => new()
    {
        { "zh-CN", Visit.Phone }, { "zh-CN", Visit.Desk }, { "en", Visit.Phone }, { "en", Visit.Desk },
    };

    public ValueTask InitializeAsync() => ValueTask.CompletedTask;

    public async ValueTask DisposeAsync()
    {
        GC.SuppressFinalize(this);
        var failed = TestContext.Current.TestState?.Result == TestResult.Failed;
        var complaints = new List<string>();
        for (var i = 0; i < _visits.Count; i++)
        {
            complaints.AddRange(_visits[i].Complaints);
            if (failed || _visits[i].Complaints.Count > 0)
                await _visits[i].SaveAsync(Site.Screenshots ?? Path.Combine(AppContext.BaseDirectory, "failures"), $"FAILED {Name()} {i}");
            await _visits[i].DisposeAsync();
        }
        if (!failed)
            Assert.Empty(complaints);
    }

    protected async Task<Visit> VisitAsync(string language, int width, string? account = null, bool dark = false, bool script = true)
    {
        var visit = await Visit.StartAsync(Site, language, width, account, dark, script);
        _visits.Add(visit);
        return visit;
    }

    /// <summary>A picture of a state that has no address of its own, when pictures are asked for.</summary>
    protected static async Task PictureAsync(Visit visit, string name, string language, int width)
    {
        if (Site.Screenshots is { } directory)
            await visit.SaveAsync(directory, $"{name}-{language}-{width}-light");
    }

    private static string Name() =>
        string.Concat((TestContext.Current.Test?.TestDisplayName ?? "test").Select(c => char.IsLetterOrDigit(c) ? c : '-'));
}
