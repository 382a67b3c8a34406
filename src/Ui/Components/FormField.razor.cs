using Microsoft.AspNetCore.Components;

namespace Gongzhi.Ui.Components;

/// <summary>A labelled input with its hint and its error; the name is also the id, so that an error summary can lead to it.</summary>
public partial class FormField
{
    /// <summary>Name and id.</summary>
    [Parameter, EditorRequired] public string Name { get; set; } = "";

    /// <summary>Label above it.</summary>
    [Parameter, EditorRequired] public string Label { get; set; } = "";

    /// <summary>Hint under the label.</summary>
    [Parameter] public string? Hint { get; set; }

    /// <summary>What is wrong with what was sent.</summary>
    [Parameter] public string? Error { get; set; }

    /// <summary>Type of the input.</summary>
    [Parameter] public string Type { get; set; } = "text";

    /// <summary>What was sent or pre-filled; never set it for a password.</summary>
    [Parameter] public string? Value { get; set; }

    /// <summary>Must be filled in.</summary>
    [Parameter] public bool Required { get; set; }

    /// <summary>Say "(optional)" beside fields that are.</summary>
    [Parameter] public bool ShowOptional { get; set; }

    /// <summary>Longest text, in characters.</summary>
    [Parameter] public int? MaxLength { get; set; }

    /// <summary>The browser's autofill token, such as <c>username</c>.</summary>
    [Parameter] public string? Autocomplete { get; set; }

    /// <summary>Keyboard of a phone, such as <c>numeric</c>.</summary>
    [Parameter] public string? InputMode { get; set; }

    /// <summary>Several lines.</summary>
    [Parameter] public bool Multiline { get; set; }

    /// <summary>Makes it a select.</summary>
    [Parameter] public IReadOnlyList<Choice>? Options { get; set; }

    private string? Invalid => Error is null ? null : "true";

    private string? DescribedBy => (Hint, Error) switch
    {
        (null, null) => null,
        (not null, null) => Name + "-hint",
        (null, not null) => Name + "-error",
        _ => Name + "-hint " + Name + "-error",
    };
}
