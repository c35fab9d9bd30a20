"""Selectors that read texts.

Drop duplicates before there are embeddings
    dedup_text           texts that are equal after normalization, or share most of their character
                         n-grams; finds copies by their wording, where `semdedup` finds them by
                         their meaning
"""
