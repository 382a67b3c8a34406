namespace Gongzhi.Ui.Components;

internal static class ToneClass
{
    internal static string? Of(Tone tone) => tone switch
    {
        Tone.Accent => "gz-t-accent",
        Tone.Good => "gz-t-good",
        Tone.Warn => "gz-t-warn",
        Tone.Bad => "gz-t-bad",
        _ => null,
    };
}
