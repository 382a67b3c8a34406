using Gongzhi.Core.Audit;
using Gongzhi.Core.Storage;
using Microsoft.EntityFrameworkCore;

namespace Gongzhi.Core.Catalog;

/// <summary>A dataset's row in SQL: its current definition. Older versions are in <see cref="DatasetVersionState"/>.</summary>
public sealed class DatasetState
{
    public long Number { get; set; }
    public required string Id { get; set; }
    public required string Owner { get; set; }
    public int Version { get; set; }
    public DateTimeOffset Created { get; set; }
    public DateTimeOffset Changed { get; set; }
}

/// <summary>One version of a dataset's definition as canonical JSON.</summary>
public sealed class DatasetVersionState
{
    public required string Dataset { get; set; }
    public int Version { get; set; }
    public required string Definition { get; set; }
    public DateTimeOffset Created { get; set; }
}

/// <summary>One thing worth knowing, after ISO/IEC 11179.</summary>
public sealed class ElementState
{
    public required string Id { get; set; }

    /// <summary>The unit whose stewards may change it; everybody may bind to it.</summary>
    public required string Owner { get; set; }
    public required string NameZh { get; set; }
    public required string NameEn { get; set; }

    /// <summary>A Table Schema type name.</summary>
    public required string Type { get; set; }

    /// <summary>Unit of measure by its UCUM code, or null.</summary>
    public string? Measure { get; set; }

    /// <summary>Permitted codes as a JSON array of {code, zh, en}, or null.</summary>
    public string? CodeList { get; set; }

    /// <summary><c>public</c>, <c>internal</c>, <c>personal</c> or <c>sensitive-personal</c>.</summary>
    public required string Sensitivity { get; set; }
}

public sealed class CatalogModel : IModelPart
{
    public void Build(ModelBuilder model)
    {
        model.Entity<DatasetState>(e =>
        {
            e.ToTable("dataset");
            e.IsAudited();
            e.HasKey(d => d.Number);
            e.Property(d => d.Number).HasColumnName("number").ValueGeneratedNever();
            e.Property(d => d.Id).HasColumnName("id").HasMaxLength(64);
            e.HasIndex(d => d.Id).IsUnique();
            e.Property(d => d.Owner).HasColumnName("owner").HasMaxLength(64);
            e.Property(d => d.Version).HasColumnName("version").IsConcurrencyToken();
            e.Property(d => d.Created).HasColumnName("created");
            e.Property(d => d.Changed).HasColumnName("changed");
        });
        model.Entity<DatasetVersionState>(e =>
        {
            e.ToTable("dataset_version");
            e.IsAudited();
            e.HasKey(v => new { v.Dataset, v.Version });
            e.Property(v => v.Dataset).HasColumnName("dataset").HasMaxLength(64);
            e.Property(v => v.Version).HasColumnName("version");
            e.Property(v => v.Definition).HasColumnName("definition");
            e.Property(v => v.Created).HasColumnName("created");
        });
        model.Entity<ElementState>(e =>
        {
            e.ToTable("element");
            e.IsAudited();
            e.HasKey(x => x.Id);
            e.Property(x => x.Id).HasColumnName("id").HasMaxLength(64);
            e.Property(x => x.Owner).HasColumnName("owner").HasMaxLength(64);
            e.Property(x => x.NameZh).HasColumnName("name_zh").HasMaxLength(200);
            e.Property(x => x.NameEn).HasColumnName("name_en").HasMaxLength(200);
            e.Property(x => x.Type).HasColumnName("type").HasMaxLength(16);
            e.Property(x => x.Measure).HasColumnName("measure").HasMaxLength(32);
            e.Property(x => x.CodeList).HasColumnName("code_list");
            e.Property(x => x.Sensitivity).HasColumnName("sensitivity").HasMaxLength(24);
        });
    }
}
