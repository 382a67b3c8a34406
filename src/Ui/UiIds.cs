using System.Globalization;

namespace Gongzhi.Ui;

/// <summary>Element ids that are unique within one rendered page and the same on every rendering of it.</summary>
public sealed class UiIds
{
    private int last;

    /// <summary>The next id, such as <c>table-3</c>.</summary>
    public string Next(string prefix) => string.Create(CultureInfo.InvariantCulture, $"{prefix}-{++last}");
}
