namespace Gongzhi.Core.Catalog;

/// <summary>
/// Which changes a dataset takes in place: those under which every row already kept still means what it meant and would
/// still be accepted. Anything else is a new dataset.
/// </summary>
public static class DatasetCompatibility
{
    /// <summary>Answers why <paramref name="next"/> cannot follow <paramref name="current"/>, or null when it can.</summary>
    public static (string English, string Chinese)? Obstacle(Dataset current, Dataset next)
    {
        if (next.Fields.Count < current.Fields.Count)
            return ("Fields cannot be removed from a dataset; make a new one.", "数据集的字段不能删除；请新建数据集。");
        for (var i = 0; i < current.Fields.Count; i++)
        {
            var (was, now) = (current.Fields[i], next.Fields[i]);
            if (was.Name != now.Name)
                return ($"The field {was.Name} must keep its name and its position; new fields go at the end.", $"字段 {was.Name} 的名称和位置不可更改；新字段须加在最后。");
            if (was.Type != now.Type || was.Scale != now.Scale)
                return ($"The field {was.Name} must keep its type and scale.", $"字段 {was.Name} 的类型和小数位数不可更改。");
            if (Tightened(was.Constraints, now.Constraints) || (now.ElementType != was.ElementType && now.ElementType is not null))
                return ($"The constraints of the field {was.Name} can be loosened but not tightened: rows already kept might break them.", $"字段 {was.Name} 的约束只能放宽，不能收紧：已保存的行可能不符合。");
        }
        for (var i = current.Fields.Count; i < next.Fields.Count; i++)
        {
            if (next.Fields[i].Constraints.Required)
                return ($"The new field {next.Fields[i].Name} cannot be required: rows already kept do not have it.", $"新字段 {next.Fields[i].Name} 不能设为必填：已保存的行没有该字段。");
        }
        if (current.TimeField != next.TimeField || current.PlaceField != next.PlaceField || current.SubjectField != next.SubjectField)
            return ("The time, place and subject fields cannot change.", "时间、地点和主体字段不可更改。");
        // The system of what is still to come may be put right; what is kept is in one system already, or in none that anybody declared.
        if (Pairs(current, current).Except(Pairs(next, current)).Any() || Pairs(next, current).Except(Pairs(current, current)).Any())
            return ("Which fields are points cannot change: coordinates already kept were converted, or were not.", "哪些字段构成坐标点不可更改：已保存的坐标或已换算，或未换算。");
        if (!current.PrimaryKey.SequenceEqual(next.PrimaryKey))
            return ("The primary key cannot change.", "主键不可更改。");
        return current.Salted != next.Salted
            ? ("Whether rows are salted (personal, or of class important or core) cannot change.", "行是否加盐（个人数据，或重要、核心数据）不可更改。") : null;
    }

    /// <summary>The points of a definition that have a field of the current one.</summary>
    private static IEnumerable<(string Lon, string Lat)> Pairs(Dataset definition, Dataset current) =>
        definition.Points.Where(p => current.IndexOf(p.Lon) >= 0 || current.IndexOf(p.Lat) >= 0).Select(p => (p.Lon, p.Lat));

    private static bool Tightened(FieldConstraints was, FieldConstraints now) =>
        (now.Required && !was.Required)
        || (now.Unique && !was.Unique)
        || (now.MinimumInt64 is { } min && !(was.MinimumInt64 >= min))
        || (now.MaximumInt64 is { } max && !(was.MaximumInt64 <= max))
        || (now.MinimumDouble is { } minDouble && !(was.MinimumDouble >= minDouble))
        || (now.MaximumDouble is { } maxDouble && !(was.MaximumDouble <= maxDouble))
        || (now.MinLength is { } minLength && !(was.MinLength >= minLength))
        || (now.MaxLength is { } maxLength && !(was.MaxLength <= maxLength))
        || (now.Pattern is not null && now.Pattern != was.Pattern)
        || (now.Enum is not null && (was.Enum is null || was.Enum.Except(now.Enum).Any()));
}
