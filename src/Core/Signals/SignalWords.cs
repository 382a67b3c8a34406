using System.Globalization;

namespace Gongzhi.Core.Signals;

/// <summary>A signal in words, from its kind and figures: nothing that was not counted is said.</summary>
public static class SignalWords
{
    public static Sentence Of(Signal signal) => signal.Kind switch
    {
        FreshnessAnalysis.Silent => Silent(signal),
        VolumeAnalysis.Many => new(
            $"{Number(signal, "rows")} rows on {Day(signal)}, far more than the {Number(signal, "expected")} usual on such a day.",
            $"{Day(signal)} 收到 {Number(signal, "rows")} 行，远多于同类日期通常的 {Number(signal, "expected")} 行。"),
        VolumeAnalysis.Few when signal.Figures.ContainsKey("rest-day") => new(
            $"{Number(signal, "rows")} rows on {Day(signal)} where {Number(signal, "expected")} are usual, as on a day of rest: perhaps a public holiday.",
            $"{Day(signal)} 收到 {Number(signal, "rows")} 行，通常为 {Number(signal, "expected")} 行；与休息日相近，或为节假日。"),
        VolumeAnalysis.Few => new(
            $"{Number(signal, "rows")} rows on {Day(signal)}, far fewer than the {Number(signal, "expected")} usual on such a day.",
            $"{Day(signal)} 收到 {Number(signal, "rows")} 行，远少于同类日期通常的 {Number(signal, "expected")} 行。"),
        _ => new($"{signal.Kind} in {signal.Analysis}.", $"{signal.Analysis}：{signal.Kind}。"),
    };

    /// <summary>A duration in its largest whole unit.</summary>
    public static Sentence Duration(TimeSpan time) => time switch
    {
        { TotalDays: >= 2 } => new($"{time.TotalDays:0.#} days", $"{time.TotalDays:0.#} 天"),
        { TotalHours: >= 2 } => new($"{time.TotalHours:0.#} hours", $"{time.TotalHours:0.#} 小时"),
        { TotalMinutes: >= 2 } => new($"{time.TotalMinutes:0.#} minutes", $"{time.TotalMinutes:0.#} 分钟"),
        _ => new($"{time.TotalSeconds:0} seconds", $"{time.TotalSeconds:0} 秒"),
    };

    private static Sentence Silent(Signal signal)
    {
        var last = signal.Figures.TryGetValue("last", out var at) && at.Time is { } time
            ? new Sentence($"No news since {Moment(time)}", $"自 {Moment(time)} 起没有新数据")
            : new Sentence("No news yet", "尚无任何数据");
        if (signal.Figures.TryGetValue("expected-seconds", out var every))
        {
            var (en, zh) = (Duration(TimeSpan.FromSeconds(every.Number ?? 0)).English, Duration(TimeSpan.FromSeconds(every.Number ?? 0)).Chinese);
            return new($"{last.English}; it is expected every {en}.", $"{last.Chinese}；应每 {zh}更新一次。");
        }
        if (!signal.Figures.TryGetValue("usual-seconds", out var usual))
            return new(last.English + ", which is unusual.", last.Chinese + "，不同寻常。");
        var duration = Duration(TimeSpan.FromSeconds(usual.Number ?? 0));
        return new($"{last.English}; it usually comes every {duration.English}, over the whole week.", $"{last.Chinese}；按全周平均，通常每 {duration.Chinese}更新一次。");
    }

    private static string Number(Signal signal, string name) => signal.Figures.TryGetValue(name, out var figure) && figure.Number is { } number ? number.ToString("#,0.#", CultureInfo.InvariantCulture) : "?";

    /// <summary>The middle of the day in UTC is in it in most zones; the figure itself is its beginning.</summary>
    private static string Day(Signal signal) => signal.Figures.TryGetValue("day", out var figure) && figure.Time is { } time ? time.AddHours(12).ToString("yyyy-MM-dd", CultureInfo.InvariantCulture) : "?";

    private static string Moment(DateTimeOffset time) => time.ToUniversalTime().ToString("yyyy-MM-dd HH:mm 'UTC'", CultureInfo.InvariantCulture);
}
